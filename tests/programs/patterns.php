<?php
for ($i = 0, $s = 0; $i < 1000000; $i++) $s = ($s * 31 + $i) % 1000003;
echo $s, PHP_EOL;
echo preg_replace_callback("/(\w)(\w*)/", fn($m) => strtoupper($m[1]) . $m[2], "hello big world"), PHP_EOL;
$a = [];
for ($i = 0; $i < 50000; $i++) $a[] = md5($i);
sort($a);
echo $a[500], PHP_EOL, shell_exec("echo sub");
