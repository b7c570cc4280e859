//! State recovery: the guest state at a host pc.

use super::Blocks;
use super::records::{BlockId, Host};
use rxbox_translate::emit::{Exit, Mark, PcAt};

impl Blocks {
    /// Where the guest state is at this host pc; `None` if no code lies there.
    pub fn recover(&self, host: u64) -> Option<Mark> {
        if let Some(mark) = self.cache.stub_mark(host).filter(|_| host < self.cache.region().code()) {
            return Some(mark);
        }
        if host >= self.cache.region().code_end() {
            return self.recover_kept(host);
        }
        // Each kind of code lies in the order in which it was made.
        let at = Host::of(host);
        let cold = self.blocks.partition_point(|b| b.cold <= at).checked_sub(1);
        if let Some(id) = cold {
            return self.in_stub(id as BlockId, host);
        }
        let hot = self.blocks.partition_point(|b| b.hot <= at).checked_sub(1);
        let late = self.late_entries.partition_point(|&(start, _)| start <= at).checked_sub(1);
        match (hot, late) {
            (hot, Some(late)) if hot.is_none_or(|id| self.blocks[id].hot < self.late_entries[late].0) => {
                let (start, marks) = self.late_entries[late];
                let end = self.late_entries.get(late + 1).map_or(self.late_marks.end(), |&(_, next)| next);
                self.late_marks.holding((marks, end), (host - start.address()) as u32)
            }
            (Some(id), _) => {
                let offset = (host - self.blocks[id].hot.address()) as u32;
                let run = self.run(id as BlockId, |b| b.marks, self.marks.end() as usize);
                self.marks.holding((run.start, run.end), offset)
            }
            (None, _) => None,
        }
    }

    /// In the cold code of a block all state is that of the exit whose stub it is.
    fn in_stub(&self, id: BlockId, host: u64) -> Option<Mark> {
        self.exits_of(id).rev().find_map(|at| match self.exits[at as usize].exit() {
            Exit::Goto { pc, stub, .. } if stub <= host => Some(Mark::plain(0, PcAt::Known(pc))),
            _ => None,
        })
    }
}
