# Encoders and filters with threads and every vector instruction that the processor has; what comes out is compared by digests.
set -e
ffmpeg -v error -f lavfi -i testsrc2=s=320x240:r=25:d=1 -f lavfi -i sine=440:d=1 -c:v libx264 -threads 4 -preset fast -c:a aac \
    -flags +bitexact -fflags +bitexact -map_metadata -1 o.mkv
ffmpeg -v error -i o.mkv -f framemd5 - | md5sum
ffmpeg -v error -i o.mkv -vf scale=640:480:flags=lanczos,hue=s=2,gblur=2 -an -f framemd5 - | md5sum
ffmpeg -v error -f lavfi -i testsrc2=s=320x240:r=25:d=1 -c:v ffv1 -threads 4 -bitexact -f framemd5 - | md5sum
ffmpeg -v error -f lavfi -i testsrc2=s=160x120:d=1 -c:v libx265 -x265-params log-level=0:pools=2 -bitexact -f framemd5 - | md5sum
