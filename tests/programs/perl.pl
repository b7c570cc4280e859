# Processes, sockets, pipes and signals from Perl.
use strict;
use IO::Select;
use IO::Socket::INET;
use Socket;

# A server with select(2), and eight clients in processes of their own.
my $listener = IO::Socket::INET->new(Listen => 20, LocalAddr => '127.0.0.1') or die $!;
my $port = $listener->sockport;
my @children;
for my $n (1 .. 8) {
    my $pid = fork // die $!;
    if (!$pid) {
        close $listener;
        my $c = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or die $!;
        print $c "hello $n\n" x 1000;
        shutdown $c, 1;
        exit(scalar(<$c>) eq "thanks $n\n" ? $n : 99);
    }
    push @children, $pid;
}
my $select = IO::Select->new($listener);
my ($done, $bytes, %text) = (0, 0);
while ($done < 8) {
    for my $f ($select->can_read) {
        if ($f == $listener) {
            $select->add(scalar $f->accept);
        } elsif (my $n = sysread $f, my $data, 4096) {
            $text{$f} .= $data;
            $bytes += $n;
        } else {
            my ($i) = $text{$f} =~ /hello (\d+)/;
            syswrite $f, "thanks $i\n";
            $select->remove($f);
            delete $text{$f};
            close $f;
            $done++;
        }
    }
}
my @status;
for (@children) { waitpid $_, 0; push @status, $? >> 8 }
print "@status $bytes\n";

socketpair my $ours, my $theirs, AF_UNIX, SOCK_STREAM, 0;
if (!fork) {
    close $ours;
    while (<$theirs>) { exit 3 if /x/ }
    exit 1;
}
close $theirs;
print $ours "a\nx\n";
$ours->flush;
wait;
print $? >> 8, "\n";

local $SIG{ALRM} = sub { die "alarm\n" };
eval { alarm 1; select undef, undef, undef, 100; };
print $@;
my $reaped = 0;
local $SIG{CHLD} = sub { if (wait > 0) { $reaped = $? >> 8 } };
if (!fork) { exit 4 }
select undef, undef, undef, 0.01 until $reaped;
print "reaped $reaped\n";
$SIG{CHLD} = 'DEFAULT';

my $out = `echo sub; exit 2`;
print $out, $? >> 8, "\n";
open my $from, '-|', 'seq 5' or die;
print <$from>;
close $from;
$| = 1;
open my $to, '|-', 'cat' or die;
print $to "piped\n";
close $to;
my $pid = open my $self, '-|';
if (!$pid) { print "from child\n"; exit }
print <$self>;
close $self;
exec 'echo', 'done';
