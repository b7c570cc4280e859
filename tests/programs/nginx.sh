# A server of a master and two workers under load; PORT is a free port.
mkdir www logs; head -c 300000 /dev/urandom > www/big; echo hello > www/index.html
cat > conf <<X
worker_processes 2; pid $PWD/pid; error_log $PWD/logs/error info;
events { worker_connections 200; }
http {
    access_log $PWD/logs/access; sendfile on; tcp_nopush on; gzip on;
    client_body_temp_path $PWD/t1; proxy_temp_path $PWD/t2; fastcgi_temp_path $PWD/t3; uwsgi_temp_path $PWD/t4; scgi_temp_path $PWD/t5;
    server { listen 127.0.0.1:$PORT; root $PWD/www; location /through/ { proxy_pass http://127.0.0.1:$PORT/; } }
}
X
at=http://127.0.0.1:$PORT
nginx -c $PWD/conf -p $PWD -g 'daemon off;' 2> errors & server=$!
until curl -s $at/; do kill -0 $server || exit 1; sleep 0.02; done
curl -s $at/big | cmp - www/big
curl -s $at/through/big | cmp - www/big
curl -s -r 100-199 $at/big | cmp - <(tail -c +101 www/big | head -c 100)
ab -q -n 1000 -c 10 $at/index.html | grep -E 'Complete|Failed'
ab -q -n 200 -c 10 -k $at/big | grep -E 'Complete|Failed'
wrk -t 2 -c 10 -d 1 $at/index.html > wrk; grep -c Requests/sec wrk; grep 'Socket errors' wrk
# New workers take over while the server goes on.
before=$(pgrep -P $server | sort | tr '\n' ' ')
kill -HUP $server
until [ $(pgrep -P $server | wc -l) = 2 ] && [ "$(pgrep -P $server | sort | tr '\n' ' ')" != "$before" ]; do curl -s $at/ > /dev/null || echo gap; done
curl -s $at/
nginx -c $PWD/conf -p $PWD -s quit 2>> errors; wait $server; echo exit $?
grep -E 'alert|crit|emerg' logs/error errors
ls
