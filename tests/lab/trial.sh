#!/bin/bash
# What is asked of systemd in the lab, once it is up; the test looks for the answers.
exec >/trial.log 2>&1
# Until a command prints a line.
until_says() { # LINE COMMAND...
    local line=$1 said
    shift
    for _ in $(seq 200); do
        said=$("$@" 2>&1)
        [[ $said == "$line" ]] && break
        sleep 0.1
    done
    echo "$said"
}
property() { systemctl show -p "$1" --value "$2"; }
ask() { # ADDRESS WORD: by a unix socket or a port
    python3 -c '
import socket, sys
where, word = sys.argv[1:]
local = where.startswith("/")
s = socket.socket(socket.AF_UNIX if local else socket.AF_INET)
s.connect(where if local else ("127.0.0.1", int(where)))
s.sendall(word.encode())
print(s.recv(200).decode().split("\r")[0])' "$@"
}

unit=rxbox@demo.service
systemd-analyze verify --man=no $unit; echo "verified: $?"
systemctl start $unit
until_says 2 sed -n '$=' /var/lib/rxbox/demo/started >/dev/null
cat /var/lib/rxbox/demo/started
systemctl is-active $unit
kill -9 "$(property MainPID $unit)"
echo "restarts: $(until_says 1 property NRestarts $unit)"
until_says active systemctl is-active $unit >/dev/null
systemctl stop $unit
systemctl show -p ActiveState,Result $unit
echo "left: $(pgrep -c rxbox)"
echo COMMAND=/bin/false >/etc/rxbox/demo.conf
echo COMMAND=/bin/none >/etc/rxbox/none.conf
cp /etc/rxbox/demo.toml /etc/rxbox/none.toml
systemctl start rxbox@none.service
until_says failed systemctl is-failed rxbox@none.service >/dev/null
systemctl show -p ExecMainStatus,NRestarts rxbox@none.service

# Services that were not written for rxbox.
for name in web nginx; do
    mkdir -p /etc/systemd/system/$name.service.d
    rxbox systemd wrap --profile "$(cat /etc/rxbox/$name.profile)" $name.service |
        sed 's/daemon on;/daemon off;/' >/etc/systemd/system/$name.service.d/rxbox.conf
done
systemctl daemon-reload
systemd-analyze verify --man=no web.service nginx.service; echo "wrapped: $?"
systemctl start web.socket
echo "activated: $(ask /run/web.sock first)"
until_says up property StatusText web.service
systemctl reload web.service
until_says "generation 1" property StatusText web.service
echo "reloaded: $(ask /run/web.sock second)"
ask /run/web.sock hang >/dev/null
# Nobody answers now: the watchdog ends it, and who has connected meanwhile is served by the next one.
echo "watched: $(ask /run/web.sock third)"
echo "web restarts: $(property NRestarts web.service)"
systemctl stop web.socket web.service
echo "web ended: $(property Result web.service)"
systemctl start nginx.service
main=$(property MainPID nginx.service)
echo "nginx: $(ask 80 $'GET / HTTP/1.0\r\n\r\n')"
systemctl reload nginx.service
echo "nginx: $(ask 80 $'GET /none HTTP/1.0\r\n\r\n'), $([ "$main" = "$(property MainPID nginx.service)" ] && echo same)"
systemctl stop nginx.service
echo "nginx ended: $(property Result nginx.service)"
echo "left at last: $(pgrep -c rxbox)"
rxbox --quiet --audit journald -- /bin/cat /etc/shadow
journalctl --sync
echo "in force: $(journalctl -q -o cat _SYSTEMD_UNIT=$unit RXBOX_EVENT=layers | head -n 1)"
matches="SYSLOG_IDENTIFIER=rxbox RXBOX_EVENT=denial RXBOX_PATH=/etc/shadow RXBOX_CALL=openat PRIORITY=4"
echo "journal: $(journalctl -q -o cat $matches | cut -d' ' -f1-3)"
echo "journal: $(journalctl -q -o cat SYSLOG_IDENTIFIER=rxbox RXBOX_EVENT=end RXBOX_CAUSE=exit RXBOX_CODE=1)"
journalctl -q --no-pager -u $unit -u rxbox@none.service -u web.service -u nginx.service
echo end
