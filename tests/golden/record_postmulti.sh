#!/bin/bash
# Records what the postmulti of the Postfix on this machine does, in a mount namespace of its own: /etc/postfix is the one
# primary instance that it knows. It wants root. tests/unit/commands/test_postmulti.py holds ours to postmulti.txt.
#   unshare -m tests/golden/record_postmulti.sh > tests/golden/postmulti.txt
set -u
root=$(mktemp -d)
trap 'umount /var/log /var/lib/postfix /var/spool /etc/postfix; rm -rf "$root"' EXIT
mount --make-rprivate /
cp -r /etc/postfix "$root/etc"
cat > "$root/etc/main.cf" <<X
compatibility_level = 3.6
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = /var/log/mail.log
myhostname = primary.test
X
mount --bind "$root/etc" /etc/postfix
for place in /var/spool /var/lib/postfix /var/log; do mount -t tmpfs tmpfs "$place"; done
mkdir /var/spool/postfix
chown postfix /var/lib/postfix

run() {
    : > /var/log/mail.log
    echo "\$ postmulti $*"
    postmulti "$@" < /dev/null 2>&1
    echo "-> $?"
    sed 's/^.\{15\} [^ ]* \([^[]*\)\[[0-9]*\]/log: \1/' /var/log/mail.log
}

run
run -l
run -l -p
run -e bogus
run -p status
run -R -p status
run -l -i nosuch
run -e enable
run -e create -I postfix-a
run -e init
run -e init x
run -e create
run -e create -I bad
for name in a b; do
    run -e create -I postfix-$name -G group-$name config_directory=/var/spool/config-$name data_directory=/var/lib/postfix/$name
done
run -l
run -l -R
run -l -g group-a
run -l -i -
run -l -i /var/spool/config-b
run -l x
run -e create -I postfix-c config_directory=/var/spool/config-a
run -e create -I postfix-c foo=bar
run -e create -I postfix-c relative
run -e create -I postfix-c config_directory=relative
run -e import config_directory=/nosuch
run -e enable -i postfix-a
run -e enable -i nosuch
run -l -i postfix-a
run -p status
run -p stop
run -p reload
run -e destroy -i postfix-a
run -e disable -i postfix-a
run -e assign -i postfix-a
run -e assign -i postfix-a -I postfix-b
run -e assign -i postfix-a -I postfix-q -G other
run -l -i postfix-q
run -e assign -i postfix-q -I - -G -
run -l
run -e deport -i -
run -e destroy -i -
run -e deport -i /var/spool/config-a
run -l
run -e import -I postfix-a -G back -g group-b config_directory=/var/spool/config-a
run -l
run -x sh -c 'echo "$multi_instance_name $multi_instance_group $multi_instance_enable $MAIL_CONFIG $queue_directory"'
run -x false
run -x sh -c 'exit 3'
run -x /nosuch
run -x
run -p
run -e destroy -i postfix-b
run -l
