#!/bin/sh
# sendmail(1), mailq(1) and newaliases(1): a client that hands command line and standard input to pickup's socket and
# leaves the rest to it, or prints the listing that showq's socket gives. What is neither, or finds no server, is for
# angarium.commands.sendmail (mailq, newaliases), which it becomes then.
#
# It is in Perl because Perl starts in 1 ms and Python in 5 to 8, which is what one message costs here (docs/adr/0037).
# Nothing is imported, for the same reason. To the shell, the lines before "#!perl" are a program that finds the
# interpreters, so that the script works in any environment, and is the whole command where there is no Perl. `postfix
# set-permissions` writes a copy without them.
here=$0
[ -h "$here" ] && here=$(readlink -f "$here")
python="${here%/*}/python3"
[ -x "$python" ] || python=$(command -v python3)
[ -x /usr/bin/perl ] && exec /usr/bin/perl -x "$0" "$python" "$@"
case ${0##*/} in
mailq | newaliases) exec "$python" -P -m "angarium.commands.${0##*/}" "$@" ;;
*) exec "$python" -P -m angarium.commands.sendmail "$@" ;;
esac
#!perl
our $interpreter;    # the copy of `postfix set-permissions` has it above; else it is the first word
$interpreter = shift @ARGV if !defined $interpreter;

my ( $AF_UNIX, $SOCK_STREAM ) = ( 1, 1 );    # on Linux
my ( $EINTR, $EBADF ) = ( 4, 9 );
my ( $UNAVAILABLE, $TEMPFAIL, $LATER ) = ( 69, 75, 255 );
my ( $CHUNK, $GATHERED ) = ( 262144, 1048576 );

# Options that say no more than that a message is submitted; those of them after which a lone dot is a line as others.
my %PLAIN   = map { $_ => 1 } qw(-t -i -oi -ti -it -m -om -oem -oee -bm -U -G);
my %NO_DOTS = map { $_ => 1 } qw(-i -oi -ti -it);

my @words = @ARGV;
my ($name) = $0 =~ m{([^/]*)\z};
utf8::encode($_) for grep { utf8::is_utf8($_) } @words;    # PERL_UNICODE=A in the environment
binmode STDIN;
binmode STDOUT;
binmode STDERR;

# Of standard input: what has been read and not been sent, and whether there is no more.
my ( @pieces, $whole );

# Become the whole command, with what has been read of standard input put back.
sub become {
    my ($program) = @_;
    if (@pieces) {
        open my $message, '+>:raw', undef or fail("no place for the message: $!");
        while (@pieces) {
            write_all( $message, shift @pieces ) or fail("no place for the message: $!");
            next if @pieces || $whole;
            my $data = read_some( \*STDIN );
            defined $data or fail("cannot read the message: $!");
            push @pieces, $data if $data ne '';
        }
        sysseek $message, 0, 0 and open STDIN, '<&', $message or fail("cannot read the message: $!");
    }
    exec {$interpreter} $interpreter, '-P', '-m', "angarium.commands.$program", @words or fail("$interpreter: $!");
}

sub fail {
    my ($text) = @_;
    write_all( \*STDERR, "sendmail: fatal: $text\n" );
    exit $TEMPFAIL;
}

# The next piece, '' at the end, undef when it cannot be read. Standard input that is closed has nothing to say.
sub read_some {
    my ($handle) = @_;
    while (1) {
        my $data = '';
        return $data if defined sysread $handle, $data, $CHUNK;
        return ''    if $! == $EBADF;
        return       if $! != $EINTR;
    }
}

sub write_all {
    my ( $handle, $data ) = @_;
    my $at = 0;
    while ( $at < length $data ) {
        my $count = syswrite $handle, $data, length($data) - $at, $at;
        if    ( defined $count ) { $at += $count }
        elsif ( $! != $EINTR )   { return 0 }
    }
    return 1;
}

# The configuration directory and whether a lone dot ends the message; nothing when it is more than a submission.
sub plain {
    my $directory = $ENV{MAIL_CONFIG} || '/etc/postfix';
    my ( $dots, $recipients, $at ) = ( 1, 0, 0 );
    while ( $at < @words && $words[$at] =~ /\A-./s ) {
        my $word = $words[ $at++ ];
        last if $word eq '--';
        if ( $PLAIN{$word} ) {
            $dots       = 0 if $NO_DOTS{$word};
            $recipients = 1 if $word =~ /t/;
        }
        elsif ( $word eq '-C' && $at < @words ) { $directory = $words[ $at++ ] }
        elsif ( $word =~ /\A-[fFrNRB](.?)/s )   { $at++ if $1 eq '' }
        else                                    { return }
    }
    return if $at > @words || !( $recipients || $at < @words );
    return ( $directory, $dots );
}

# The configuration directory when the queue is to be listed, with no more said; else nothing.
sub listing {
    my $said    = join "\0", @words;
    my $default = $ENV{MAIL_CONFIG} || '/etc/postfix';
    my ( $alone, $told ) = $name eq 'mailq' ? ( '', qr/\A-[Cc]\0([^\0]+)\z/ ) : ( '-bp', qr/\A-C\0([^\0]+)\0-bp\z/ );
    return $said eq $alone ? $default : $said =~ $told ? $1 : ();
}

# Where the sockets are, by a main.cf that leaves no doubt about it and sets no $unwanted; else nothing.
sub public {
    my ( $directory, $unwanted ) = @_;
    open my $file, '<:raw', "$directory/main.cf" or return;
    my $text = '';
    defined sysread $file, $text, 4 * $GATHERED or return;
    $text = "\n$text";
    return if index( $text, "\n$unwanted" ) >= 0;
    my $at = rindex $text, "\nqueue_directory";
    return '/var/spool/postfix/public/' if $at < 0;
    my ( $line, $after ) = split /\n/, substr( $text, $at + 1 ), 2;
    $line =~ /\Aqueue_directory\s*=\s*([^\$]*[^\$\s])\s*\z/ or return;
    my $value = $1;
    return if defined $after && $after =~ /\A[ \t#\n]/;    # it may go on
    return "$value/public/";
}

sub reach {
    my ($path) = @_;
    socket my $socket, $AF_UNIX, $SOCK_STREAM, 0 or return;
    binmode $socket;    # PERL_UNICODE=D in the environment
    connect $socket, pack 'S a*', $AF_UNIX, "$path\0" or return;
    return $socket;
}

# Hand the message over, and end as pickup says.
sub submit {
    my ( $path, $arguments, $dots ) = @_;
    local $SIG{PIPE} = 'IGNORE';                           # pickup that hangs up says why
    my $tail = "\n";
    my $next = sub {
        my $data = read_some( \*STDIN );
        $whole = !defined $data || $data eq '';
        if ( $dots && !$whole ) {
            $tail .= $data;
            $whole = $tail =~ /\n\.\r?\n/;
            $tail  = substr $tail, -4 if length $tail > 4;
        }
        return $data;
    };

    # Up to 1 MiB is read before: a slow writer of a small message holds no connection.
    my $size = 0;
    while ( !$whole && $size < $GATHERED ) {
        my $data = $next->();
        fail("cannot read the message: $!") if !defined $data;    # who reads it again might be told that it is over
        push @pieces, $data;
        $size += length $data;
    }
    my $socket = reach($path) or become('sendmail');
    my $out    = 'V000000011';
    $out .= frame( 'n', substr $ENV{NAME}, 0, 65536 ) if defined $ENV{NAME};
    $out .= frame( 'a', $arguments );
    $out .= frame( 'i', $_ ) for grep { length } @pieces;
    my $listens = 1;
    while ( $listens && !$whole ) {
        @pieces  = ();
        $listens = write_all( $socket, $out );
        my $data = $next->();
        fail("cannot read the message: $!") if !defined $data;
        $out = frame( 'i', $data );
    }
    $listens = write_all( $socket, "${out}Z00000000" ) if $listens;

    my $answer = '';
    while ( $answer ne "0\n" ) {                                # which is all: there is no need to wait for the end
        my $data = read_some($socket);
        last if !defined $data || $data eq '';
        $answer .= $data;
    }
    my ( $status, $text ) = $answer =~ /\A([0-9]{1,3})\n(.*)\z/s;
    $status = $LATER if $answer =~ /\A451 4\.3\.2 /;            # before pickup has seen the command line
    fail('the mail system went away') if !defined $status;
    become('sendmail')                            if $status == $LATER && @pieces;
    fail('the mail system is busy or going down') if $status == $LATER;
    write_all( \*STDERR, $text );
    exit $status;
}

sub frame {
    my ( $kind, $payload ) = @_;
    return $kind . sprintf( '%08x', length $payload ) . $payload;
}

sub shown {
    my ($text) = @_;
    return $text if $text !~ /[^ -~]/;
    my $unprintable = utf8::decode($text) ? '[^\p{L}\p{M}\p{N}\p{P}\p{S} ]' : '[^ -~]';    # compiled when it is needed
    $text =~ s/$unprintable/?/g;
    return $text;
}

# The size of a message of the listing, and its lines, as angarium.commands.queue_listing has them.
sub row {
    my @record = @_;
    my %of     = @record;
    my $status = { active => '*', hold => '!' }->{ $of{queue_name} } || ( $of{forced_expire} eq '1' ? '#' : '' );
    my $time   = substr localtime( $of{time} ), 0, 20;
    my $text   = sprintf "%-11s %7d %20s %s\n", $of{queue_id} . $status, $of{size}, $time, shown( $of{sender} );
    my $last   = '';
    for ( my $at = 0 ; $at < @record ; $at += 2 ) {
        next if $record[$at] ne 'recipient';
        my $reason = $record[ $at + 3 ];
        $text .= sprintf "%78s\n", '(' . shown($reason) . ')' if $reason ne '' && $reason ne $last;
        $last = $reason;
        $text .= ' ' x 41 . shown( $record[ $at + 1 ] ) . "\n";
    }
    utf8::encode($text) if utf8::is_utf8($text);
    return ( $of{size}, "$text\n" );
}

# To standard output, which may be closed, but not full.
sub show {
    my ($text) = @_;
    return if write_all( \*STDOUT, $text ) || $! == $EBADF;
    write_all( \*STDERR, "postqueue: fatal: output write error: $!\n" );
    exit $UNAVAILABLE;
}

# Print what showq's socket gives, and end; come back when there is nothing to be had of it, and nothing was printed.
sub list {
    my ($path) = @_;
    my $socket = reach($path) or return;
    my ( $count, $total, $greeted, $ended, $held, @record ) = ( 0, 0, 0, 0, '' );
    while ( defined( my $data = read_some($socket) ) ) {
        last if $data eq '';
        my @strings = split /\0/, $held . $data, -1;
        $held = pop @strings;
        my $out = '';
        for my $string (@strings) {
            if ( $string ne '' || @record % 2 ) {
                push @record, $string;
                next;
            }
            if ( $greeted && @record ) {
                my ( $size, $text ) = row(@record);
                $out .= "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n" if !$count;
                $out .= $text;
                $count++;
                $total += $size;
            }
            $ended   = $greeted && !@record;
            $greeted = 1;
            @record  = ();
        }
        show($out);
    }
    return if !$ended && !$count;
    if ( !$ended ) {
        write_all( \*STDERR, "postqueue: fatal: Queue report unavailable - the listing is cut off\n" );
        exit $UNAVAILABLE;
    }
    my $last = $count ? sprintf '-- %d Kbytes in %d Request%s.', $total / 1024, $count, $count == 1 ? '' : 's' : '';
    show( ( $last || 'Mail queue is empty' ) . "\n" );
    exit 0;
}

if ( my ($directory) = listing() ) {
    my $public = public( $directory, 'enable_long_queue_ids' );
    list("${public}showq") if defined $public;
}
become($name) if $name eq 'mailq' || $name eq 'newaliases';
my ( $directory, $dots ) = plain();
my $public    = defined $directory ? public( $directory, 'sendmail_fix_line_endings' ) : undef;
my $arguments = join '', map { "$_\0" } @words;
become('sendmail') if !defined $public || length $arguments > $GATHERED;
submit( "${public}pickup", $arguments, $dots );
