//! The vDSO: the kernel's own code for clock_gettime(2) and a few others, run by the program without a system
//! call.
//!
//! It is translated like any guest code, but it cannot be copied or moved: it reads time data from pages of
//! the kernel's at fixed distances below itself. So the guest gets the host's own pages, at the address where
//! the kernel put them in this process, as [special areas](crate::guest::Role::Special): the guest can read
//! and run them, and cannot change them. They contain nothing of the runtime's.

use nix::errno::Errno;

use crate::guest::{AddressSpace, Prot, Span, access};

/// The vDSO of this process with its data pages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vdso {
    /// Address of its ELF header: the value for `AT_SYSINFO_EHDR`.
    pub header: u64,
    /// Its areas, ascending and adjacent: data first, code last.
    areas: Vec<(Span, Prot, &'static str)>,
}

/// Areas by which the kernel names them, of which only the first is code.
const NAMES: [&str; 3] = ["[vdso]", "[vvar]", "[vvar_vclock]"];

impl Vdso {
    /// Finds it in the text of `/proc/self/maps`; `header` is this process's `AT_SYSINFO_EHDR`. `None` if
    /// there is no vDSO there, or if its pages are not together, so that it would not be known what it needs.
    pub fn find(maps: &str, header: u64) -> Option<Vdso> {
        let mut areas: Vec<_> = maps.lines().filter_map(parse_line).collect();
        areas.sort_by_key(|(span, ..)| span.start);
        let adjacent = areas.windows(2).all(|pair| pair[0].0.end == pair[1].0.start);
        let has_code = areas.iter().any(|&(span, _, name)| name == NAMES[0] && span.start == header);
        (adjacent && has_code).then_some(Vdso { header, areas })
    }

    /// All its pages, data included.
    pub fn span(&self) -> Span {
        let start = self.areas.first().map_or(0, |(span, ..)| span.start);
        Span { start, end: self.areas.last().map_or(start, |(span, ..)| span.end) }
    }

    /// Gives it to the guest: into its map, and within reach of its pointers for loads.
    ///
    /// # Errors
    /// `EINVAL` if it lies where the guest's own memory may be, or was lent before.
    pub fn lend(&self, space: &mut AddressSpace) -> Result<(), Errno> {
        self.areas.iter().try_for_each(|&(span, prot, name)| space.add_fixed_special(span, prot, name))?;
        access::lend(self.span());
        Ok(())
    }
}

/// An area of the vDSO's, from its line of the maps file.
fn parse_line(line: &str) -> Option<(Span, Prot, &'static str)> {
    let name = NAMES.into_iter().find(|name| line.ends_with(&format!(" {name}")))?;
    let span = Span::of_maps_line(line)?;
    let prot = if name == NAMES[0] { Prot::READ_EXEC } else { Prot::READ };
    (!span.is_empty()).then_some((span, prot, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::Limits;

    const MAPS: &str = "\
555555554000-555555556000 r--p 00000000 fe:00 1                          /tmp/x [vdso]x
7ffff7fc1000-7ffff7fc5000 r--p 00000000 00:00 0                          [vvar]
7ffff7fc5000-7ffff7fc7000 r--p 00000000 00:00 0                          [vvar_vclock]
7ffff7fc7000-7ffff7fc9000 r-xp 00000000 00:00 0                          [vdso]
";

    #[test]
    fn code_and_data_are_found_and_lent_under_their_names() {
        let vdso = Vdso::find(MAPS, 0x7fff_f7fc_7000).unwrap();
        assert_eq!(vdso.span(), Span { start: 0x7fff_f7fc_1000, end: 0x7fff_f7fc_9000 });
        let mut space = AddressSpace::new(Limits::DEFAULT, 0);
        vdso.areas.iter().try_for_each(|&(s, p, n)| space.add_fixed_special(s, p, n)).unwrap();
        let lines = MAPS.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>();
        assert_eq!(String::from_utf8(space.maps_text()).unwrap(), lines);
        assert!(space.exec_span(vdso.header).is_some() && space.exec_span(vdso.header - 1).is_none());
    }

    #[test]
    fn a_vdso_elsewhere_in_pieces_or_absent_is_not_taken() {
        assert_eq!(Vdso::find(MAPS, 0x7fff_f7fc_5000), None);
        assert_eq!(Vdso::find("", 0), None);
        let torn = MAPS.replace("7ffff7fc5000-7ffff7fc7000", "7ffff7fc5000-7ffff7fc6000");
        assert_eq!(Vdso::find(&torn, 0x7fff_f7fc_7000), None);
    }

    #[test]
    fn this_hosts_vdso_is_found() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let header = maps.lines().find_map(parse_code).unwrap();
        assert!(Vdso::find(&maps, header).is_some());
    }

    fn parse_code(line: &str) -> Option<u64> {
        parse_line(line).filter(|(_, prot, _)| prot.exec).map(|(span, ..)| span.start)
    }
}
