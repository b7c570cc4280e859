//! Executable mappings of program files: the supervisor is told of each, and may have a kept translation of
//! it; and what was translated here is told when the process ends or becomes another program
//! ([`rxbox_wire::kept`]).

use super::{Thread, request};
use crate::guest::layout::LOW;
use crate::guest::{Area, Span};
use crate::host::control;
use crate::runtime::kept::KeptCode;
use crate::runtime::translator;
use rxbox_wire::kept::Mapping;
use std::os::fd::AsFd;

/// The most mappings of a process that are told: with each there can be a kept translation, which takes some
/// mappings of the host's.
const MOST: usize = 512;

/// What of a mapping the supervisor has to know.
fn mapping_of(area: &Area) -> Option<(u64, u64, Mapping)> {
    let backing = area.backing.as_ref()?;
    let is_code = area.prot.exec && !area.prot.write && !area.shared && !area.is_special();
    let is_low = LOW.encloses(area.span);
    let mapping = Mapping { address: area.span.start, len: area.span.len(), offset: backing.offset };
    (is_code && is_low).then_some((backing.file.dev, backing.file.ino, mapping))
}

/// Tells of the code that is mapped in `span` now.
pub fn tell_of(thread: &Thread, span: Span) {
    if !thread.process.keeps {
        return;
    }
    let found: Vec<_> = thread.process.memory.lock().space.areas_in(span).filter_map(mapping_of).collect();
    for (dev, ino, mapping) in found {
        if thread.process.blocks.lock().origins() < MOST {
            add(thread, dev, ino, mapping);
        }
    }
}

fn add(thread: &Thread, dev: u64, ino: u64, mapping: Mapping) {
    // Without an answer it is as if there were no cache.
    let Some((number, file)) = request::code(thread, dev, ino, mapping) else { return };
    let memory = thread.process.memory.lock();
    let mut blocks = thread.process.blocks.lock();
    // Another thread may have changed it meanwhile.
    let now = memory.space.query(mapping.address).and_then(mapping_of);
    if now != Some((dev, ino, mapping)) {
        return;
    }
    let region = blocks.region();
    let identity = translator::identity(region, &thread.process.config);
    let code = file.and_then(|file| {
        let size = control::size(&file).ok()?;
        let is_taken = |place| blocks.has_kept_at(place);
        let code = KeptCode::map(file.as_fd(), size, region, &identity, is_taken).ok()?;
        (code.header().mapping == mapping).then_some(code)
    });
    blocks.add_origin(mapping.address..mapping.address + mapping.len, number, code);
}

/// Tells what was translated.
pub fn tell_points(thread: &Thread) {
    if !thread.process.keeps {
        return;
    }
    let points = thread.process.blocks.lock().take_points();
    if !points.is_empty() {
        request::translated(thread, &points);
    }
}
