# A web server and its clients; with an argument, the port of a server that runs elsewhere.
if [ $# = 0 ]; then
    mkfifo log
    python3 -u -m http.server -d www -b 127.0.0.1 0 > log 2> errors & server=$!
    exec 9< log
    read -r _ _ _ _ _ port _ <&9
else
    port=$1
fi
at=http://127.0.0.1:$port
curl -s $at/small
curl -s $at/big | cmp - www/big
curl -s -o /dev/null -w '%{http_code} %{size_download}\n' $at/none
curl -sI $at/small | head -1
curl -s -Z -o o1 -o o2 -o o3 $at/big $at/small $at/big 2>/dev/null
cmp o1 www/big; cmp o3 www/big
if [ $# = 0 ]; then kill $server; wait $server; echo $?; fi
