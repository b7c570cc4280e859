//! `numa_maps` (proc_pid_numa_maps(5)): the lines are those of the guest's own map, the numbers those of the
//! host's mappings that begin in them.

use std::collections::BTreeMap;

/// The text for the guest's `maps` and the host's `numa_maps`.
pub(super) fn text(maps: &[u8], host: &[u8]) -> Vec<u8> {
    let host = String::from_utf8_lossy(host);
    let known: BTreeMap<u64, &str> = host
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(start, rest)| Some((u64::from_str_radix(start, 16).ok()?, rest)))
        .collect();
    let mut text = String::new();
    for line in String::from_utf8_lossy(maps).lines() {
        let words: Vec<&str> = line.splitn(6, ' ').collect();
        let Some((start, end)) = words.first().and_then(|range| range.split_once('-')) else { continue };
        let (Ok(from), Ok(to)) = (u64::from_str_radix(start, 16), u64::from_str_radix(end, 16)) else {
            continue;
        };
        let mut policy = "default";
        let mut counts: Vec<(&str, u64)> = Vec::new();
        for (n, rest) in known.range(from..to).enumerate() {
            let mut words = rest.1.split(' ');
            let first = words.next().unwrap_or(policy);
            if n == 0 {
                policy = first;
            }
            for (name, count) in words.filter_map(|word| word.split_once('=')) {
                let Ok(count) = count.parse::<u64>() else { continue };
                match counts.iter_mut().find(|(known, _)| *known == name) {
                    Some(_) if name == PAGE_SIZE => {}
                    Some((_, sum)) => *sum += count,
                    None => counts.push((name, count)),
                }
            }
        }
        text += &format!("{start} {policy}");
        match words.get(5).map(|name| name.trim()) {
            Some("[heap]") => text += " heap",
            Some("[stack]") => text += " stack",
            Some(name) if name.starts_with('/') => text += &format!(" file={name}"),
            _ => {}
        }
        for (name, count) in counts {
            text += &format!(" {name}={count}");
        }
        text.push('\n');
    }
    text.into()
}

/// What is the same for every page of a mapping.
const PAGE_SIZE: &str = "kernelpagesize_kB";

#[cfg(test)]
mod tests {
    #[test]
    fn the_lines_are_the_guests_and_the_numbers_the_hosts() {
        let maps = b"00400000-00404000 r-xp 00000000 fe:00 7   /bin/guest\n00500000-00501000 rw-p 00000000 \
            00:00 0 [heap]\n";
        let host = b"00400000 default file=/x mapped=2 N0=2 kernelpagesize_kB=4\n\
            00402000 default file=/x mapped=1 N1=1 kernelpagesize_kB=4\n70000000 default anon=9 N0=9\n";
        let text = String::from_utf8(super::text(maps, host)).unwrap();
        assert_eq!(
            text,
            "00400000 default file=/bin/guest mapped=3 N0=2 kernelpagesize_kB=4 N1=1\n00500000 default heap\n"
        );
    }
}
