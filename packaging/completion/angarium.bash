# Completion for bash. Made by `python -m angarium.commands.manual .`; source it, or put it into
# /etc/bash_completion.d.

_angarium() {
    local current=${COMP_WORDS[COMP_CWORD]} said='' before='' word words
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $before/$word in
            -c/*|--database/*|*/-*) ;;
            *) said="$said $word" ;;
        esac
        before=$word
    done
    case $said in
        ' domain add'*) words='-h --help --json --quota --messages' ;;
        ' domain list'*) words='-h --help --json' ;;
        ' domain show'*) words='-h --help --json' ;;
        ' domain remove'*) words='-h --help --json --with-contents' ;;
        ' domain set'*) words='-h --help --json --quota --messages' ;;
        ' domain'*) words='add list show remove set' ;;
        ' account add'*) words='-h --help --json --quota --messages --password-hash --no-password --exist-ok' ;;
        ' account list'*) words='-h --help --json' ;;
        ' account show'*) words='-h --help --json' ;;
        ' account remove'*) words='-h --help --json --missing-ok' ;;
        ' account set'*) words='-h --help --json --quota --messages --inherit-quota --password --password-hash --enable --disable' ;;
        ' account check'*) words='-h --help --json' ;;
        ' account'*) words='add list show remove set check' ;;
        ' alias add'*) words='-h --help --json' ;;
        ' alias list'*) words='-h --help --json' ;;
        ' alias show'*) words='-h --help --json' ;;
        ' alias remove'*) words='-h --help --json --missing-ok' ;;
        ' alias set'*) words='-h --help --json' ;;
        ' alias'*) words='add list show remove set' ;;
        ' quota set'*) words='-h --help --json --messages --mail --rules --total --total-messages' ;;
        ' quota add'*) words='-h --help --json --messages --mail --rules --total --total-messages' ;;
        ' quota list'*) words='-h --help --json --domains --over --near --sort' ;;
        ' quota get'*) words='-h --help --json' ;;
        ' quota show'*) words='-h --help --json' ;;
        ' quota unset'*) words='-h --help --json' ;;
        ' quota remove'*) words='-h --help --json' ;;
        ' quota recalculate'*) words='-h --help --json --all --dry-run' ;;
        ' quota'*) words='set add list get show unset remove recalculate' ;;
        ' queue list'*) words='-h --help --json --queue --sender --recipient --domain --age --size --reason --deleted --limit' ;;
        ' queue top'*) words='-h --help --json --queue --sender --recipient --domain --age --size --reason --by --limit' ;;
        ' queue show'*) words='-h --help --json' ;;
        ' queue suspend'*) words='-h --help --json --queue --sender --recipient --domain --age --size --reason --all --dry-run' ;;
        ' queue resume'*) words='-h --help --json --queue --sender --recipient --domain --age --size --reason --all --dry-run' ;;
        ' queue bounce'*) words='-h --help --json --queue --sender --recipient --domain --age --size --reason --all --dry-run' ;;
        ' queue delete'*) words='-h --help --json --queue --sender --recipient --domain --age --size --reason --all --dry-run --forever' ;;
        ' queue undelete'*) words='-h --help --json --queue --sender --recipient --domain --age --size --reason --all --dry-run' ;;
        ' queue'*) words='list top show suspend resume bounce delete undelete' ;;
        ' check'*) words='-h --help --json --severity' ;;
        ' explain'*) words='-h --help --json --from --to --client --helo --sasl --tls --ccert --eml --service --verp' ;;
        ' trace'*) words='-h --help --json --since --most' ;;
        ' init'*) words='-h --help --json --hostname --domain --account --cert --key --aliases --system --keep --root --force' ;;
        ' exim'*) words='-C -M -Mf -Mg -Mrm -Mt -Mvb -Mvc -Mvh -Mvl -bV -bp -bpa -bpc -bpi -bpr -bpra -bpri -bpru -bpu -bt -bv -f -q -qf -qff' ;;
        ' exiqgrep'*) words='-C -E -G -R -a -b -c -f -h -i -l -o -r -s -x -y -z' ;;
        *) words='domain account alias quota queue check explain trace init exim exiqgrep' ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _angarium angarium
complete -o default -W '-C -c' mailq
complete -o default -W '-C -P -c -f -o -p' mailstats
complete -o default -W '-C -D -N -c -d -e -f -i -l -o -r -s -t -u -v' makemap
complete -o default -W '-C -oA' newaliases
complete -o default -W '-F -N -U -b -c -d -f -h -i -m -n -o -p -q -r -s -u -w' postalias
complete -o default -W '-b -c -d -e -h -o -q -r -s -v' postcat
complete -o default -W '-# -A -C -F -H -M -P -T -X -a -b -d -e -f -h -l -m -n -o -q -t -x' postconf
complete -o default -W '-c -r -v' postdrop
complete -o default -W 'start start-fg stop drain reload abort quick-start quick-stop flush check status set-permissions upgrade-configuration logrotate tls -D -c -v' postfix
complete -o default -W '-c -v' postkick
complete -o default -W '-c -l -v' postlock
complete -o default -W '-c -i -p -t -v' postlog
complete -o default -W '-G -I -R -a -c -e -g -i -l -p -v -x' postmulti
complete -o default -W '-F -N -U -b -c -d -f -h -i -m -n -o -p -q -r -s -u -w' postmap
complete -o default -W '-c -f -i -j -p -s' postqueue
complete -o default -W '-H -S -c -d -e -f -h -p -r -s' postsuper
complete -o default -W '-A -C -F -H -K -L -M -P -S -T -X -a -c -d -f -g -h -k -l -m -o -p -r -s -t -v -w' posttls-finger
complete -o default -W '-C -c -f' praliases
complete -o default -W '-N -b -c -h -l -m -n -p -s -t -w' qshape
complete -o default -W '-B -C -F -I -N -R -V -XV -XV+ -bi -bm -bp -bs -bv -f -i -oi -q -r -t' sendmail
complete -o default -W '-4 -6 -8 -A -B -C -D -E -F -H -L -M -N -P -Q -R -S -T -W -a -b -c -d -e -f -h -m -n -p -q -r -s -t -u -v -w' smtp-sink
complete -o default -W '-4 -6 -A -C -F -L -M -N -R -S -T -c -d -f -l -m -o -r -s -t -v -w' smtp-source
