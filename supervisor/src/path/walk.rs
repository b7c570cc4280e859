//! The walk along a name.
//!
//! First the kernel is asked to go the whole way at once, but through no symbolic link ([`whole`]). Nearly
//! every name of a running program is answered so, in one call; and as no link was involved, no directory was
//! passed that the resolved name does not show. Everything else is walked here, component by component and
//! link by link, since only here it is known what lies in the guest's `/proc` and what the policy hides.
//!
//! The walk holds each directory by descriptor, as the kernel does: a rename on the way changes nothing
//! behind it.

mod in_proc;

use super::ask::{again, leads_out, may_follow, on_procfs, seen, whole};
use super::look::{lexical, may_look, may_walk, refusal};
use super::place::{Base, Place, Step};
use super::{Found, Lookup, Parent, Resolved, Target, without_slashes};
use crate::caller::Caller;
use crate::host::lookup::find;
use crate::host::name::readlink;
use crate::state::fd::File;
use crate::state::mounts;
use crate::state::names::{Dir, Object, in_proc, join, name_of, root, same};
use crate::view;
use nix::errno::Errno;
use nix::fcntl::ResolveFlag;
use nix::sys::stat::{FileStat, fstat};
use rxbox_policy::Access;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

/// Links followed in one look-up, at most (the kernel's MAXSYMLINKS).
const MAX_LINKS: u32 = 40;
/// How often a name is looked at again that was replaced between finding the object and asking for its name.
const RETRIES: usize = 16;

/// Looks `path` up from the directory that the guest calls `dirfd`. What the policy hides is not found, so
/// that no check that comes before the policy's decision can tell it from what is missing.
pub fn resolve(caller: &Caller<'_>, dirfd: i32, path: &CStr, how: Lookup) -> Result<Found, Errno> {
    if path.is_empty() {
        let base = if how.empty { base_itself(caller, dirfd) } else { Err(Errno::ENOENT) };
        return unhidden(caller, Found::There(base?));
    }
    if path.count_bytes() >= libc::PATH_MAX as usize {
        return Err(Errno::ENAMETOOLONG);
    }
    let start = Place::of(caller, dirfd, path, how)?;
    let at = match &start {
        Place::Host(base) => base.name()?,
        Place::View(_) => Vec::new(),
    };
    if let Place::Host(base) = &start
        && let Some(found) = whole(caller, (base.as_fd(), &at), path, how)?
    {
        return Ok(Found::There(found));
    }
    unhidden(caller, Walk::new(caller, (start, at), path.to_bytes(), how)?.run()?)
}

/// What was found, unless the policy hides it.
fn unhidden(caller: &Caller<'_>, found: Found) -> Result<Found, Errno> {
    if let Found::There(Resolved { target: Target::Host(_) | Target::View(_), path }) = &found {
        seen(caller, path)?;
    }
    Ok(found)
}

/// Looks up the directory that a name is to be made in or taken from; the last component itself is not looked
/// at.
pub fn parent(caller: &Caller<'_>, dirfd: i32, path: &CStr) -> Result<Parent, Errno> {
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    if path.count_bytes() >= libc::PATH_MAX as usize {
        return Err(Errno::ENAMETOOLONG);
    }
    let (way, leaf) = split(path.to_bytes());
    let leaf = CString::new(leaf).map_err(|_| Errno::EINVAL)?;
    let way = CString::new(if way.is_empty() { b"." } else { way }).map_err(|_| Errno::EINVAL)?;
    let Found::There(found) = resolve(caller, dirfd, &way, Lookup::FOLLOW)? else {
        return Err(Errno::ENOENT);
    };
    let mut dir = match found.target {
        Target::Host(object) if object.is_dir() => Dir { fd: object.fd, path: found.path.into() },
        Target::View(node) if node.is_dir() => node.directory()?,
        Target::Open(file) => Dir { fd: again(file.host.as_fd())?, path: name_of(file.host.as_fd())?.into() },
        _ => return Err(Errno::ENOTDIR),
    };
    if let Some(real) = mounts::real_parent(&join(&dir.path, without_slashes(&leaf))) {
        dir.fd = real;
    }
    Ok(Parent { dir, leaf })
}

/// A path as the way to the last component and that component with the slashes behind it.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let end = path.iter().rposition(|&b| b != b'/').map_or(0, |i| i + 1);
    let start = path[..end].iter().rposition(|&b| b == b'/').map_or(0, |i| i + 1);
    if end == 0 { (path, b"") } else { path.split_at(start) }
}

/// What an empty path means.
fn base_itself(caller: &Caller<'_>, dirfd: i32) -> Result<Resolved, Errno> {
    if dirfd == libc::AT_FDCWD {
        let cwd = caller.process.cwd();
        if in_proc(&cwd.path) {
            let node = view::at(caller, &cwd.path)?;
            return Ok(Resolved { path: node.judged_path(caller), target: Target::View(node) });
        }
        let fd = again(cwd.as_fd())?;
        return Ok(Resolved { path: name_of(fd.as_fd())?, target: Target::Host(Object::of(fd)?) });
    }
    Ok(open_file(caller.process.fds.get(dirfd)?))
}

/// An open file as the end of a look-up.
fn open_file(file: Arc<File>) -> Resolved {
    Resolved { path: Vec::new(), target: Target::Open(file) }
}

/// The name of the directory above a mount point, if `base` is the directory of one: there the kernel's `..`
/// is where the folder, or what the host has of that name, really lies.
fn mount_above(base: BorrowedFd<'_>) -> Option<CString> {
    let name = name_of(base).ok().filter(|name| mounts::is_point(name))?;
    let end = name.iter().rposition(|&byte| byte == b'/')?;
    CString::new(&name[..end.max(1)]).ok()
}

/// A walk under way.
struct Walk<'a> {
    caller: &'a Caller<'a>,
    how: Lookup,
    place: Place,
    /// The name of the place, on the host.
    at: Vec<u8>,
    /// What is left of the way.
    rest: Vec<u8>,
    links: u32,
    /// For [`Lookup::FENCED`]: the directory that must not be left, and its name.
    fence: Option<(Base, FileStat, Vec<u8>)>,
}

impl<'a> Walk<'a> {
    fn new(
        caller: &'a Caller<'a>,
        (place, at): (Place, Vec<u8>),
        path: &[u8],
        how: Lookup,
    ) -> Result<Self, Errno> {
        if how.restrict.bits() & libc::RESOLVE_CACHED != 0 {
            return Err(Errno::EAGAIN);
        }
        let fence = match &place {
            _ if !how.restrict.intersects(Lookup::FENCED) => None,
            Place::Host(base) => Some((base.clone(), fstat(base)?, at.clone())),
            Place::View(_) => return Err(Errno::EXDEV),
        };
        let mut walk = Walk { caller, how, place, at, rest: Vec::new(), links: 0, fence };
        walk.enter(path)?;
        Ok(walk)
    }

    fn run(mut self) -> Result<Found, Errno> {
        self.leap()?;
        let mut links = 0;
        loop {
            if self.links != links {
                links = self.links;
                if let Some(found) = self.rest_at_once()? {
                    return Ok(found);
                }
            }
            let Some(step) = self.next()? else { return self.arrive().map(Found::There) };
            let ended = match self.place {
                Place::Host(_) => self.host_step(&step)?,
                Place::View(_) => self.view_step(&step)?,
            };
            if let Some(found) = ended {
                return Ok(found);
            }
        }
    }

    /// Puts a path (the guest's, or a link's text) before what is left.
    fn enter(&mut self, path: &[u8]) -> Result<(), Errno> {
        if path.first() == Some(&b'/') {
            match &self.fence {
                Some(_) if self.how.restrict.contains(ResolveFlag::RESOLVE_BENEATH) => {
                    return Err(Errno::EXDEV);
                }
                Some((base, _, at)) => (self.place, self.at) = (Place::Host(base.clone()), at.clone()),
                None => self.jump(Place::root()?)?,
            }
        }
        let mut rest = path.to_vec();
        if !self.rest.is_empty() {
            rest.push(b'/');
            rest.append(&mut self.rest);
        }
        self.rest = rest;
        Ok(())
    }

    /// Goes on from another place; with `RESOLVE_NO_XDEV` only in the same file system.
    fn jump(&mut self, to: Place) -> Result<(), Errno> {
        if self.how.restrict.contains(ResolveFlag::RESOLVE_NO_XDEV) {
            match (&self.place, &to) {
                (Place::Host(a), Place::Host(b)) if fstat(a)?.st_dev == fstat(b)?.st_dev => (),
                (Place::View(_), Place::View(_)) => (),
                _ => return Err(Errno::EXDEV),
            }
        }
        if let Place::Host(base) = &to {
            self.at = base.name()?;
        }
        self.place = to;
        Ok(())
    }

    /// After a link: the whole rest in one call, if that can be.
    fn rest_at_once(&mut self) -> Result<Option<Found>, Errno> {
        if let (Place::Host(base), None) = (&self.place, &self.fence) {
            let rest = CString::new(self.rest.as_slice()).map_err(|_| Errno::EINVAL)?;
            if !rest.is_empty()
                && let Some(found) = whole(self.caller, (base.as_fd(), &self.at), &rest, self.how)?
            {
                return Ok(Some(Found::There(found)));
            }
        }
        self.leap()?;
        Ok(None)
    }

    /// All but the last component in one call, if that can be: often only the last is a link, or missing.
    fn leap(&mut self) -> Result<(), Errno> {
        let (Place::Host(base), None) = (&self.place, &self.fence) else { return Ok(()) };
        let (way, leaf) = split(&self.rest);
        let there = lexical(&self.at, way);
        if way.iter().all(|&b| b == b'/') || in_proc(way) || leads_out(way) || !may_walk(self.caller, &there)
        {
            return Ok(());
        }
        let name = CString::new(way).map_err(|_| Errno::EINVAL)?;
        let start = mounts::start((base.as_fd(), &self.at), &name, &there, self.restrict());
        let Ok((start, name)) = start else { return Ok(()) };
        let Ok(object) = find(start, &name, true, self.restrict()).and_then(Object::of) else {
            return Ok(());
        };
        if !on_procfs(&object)? {
            self.rest = leaf.to_vec();
            (self.place, self.at) = (Base::held(object.fd), there);
        }
        Ok(())
    }

    /// The restrictions that the kernel watches in each step.
    fn restrict(&self) -> ResolveFlag {
        self.how.restrict - Lookup::FENCED
    }

    /// Takes the next component off the rest.
    fn next(&mut self) -> Result<Option<Step>, Errno> {
        let start = self.rest.iter().position(|&b| b != b'/').unwrap_or(self.rest.len());
        let end = self.rest[start..].iter().position(|&b| b == b'/').map_or(self.rest.len(), |i| start + i);
        if start == end {
            return Ok(None);
        }
        let after = self.rest[end..].iter().position(|&b| b != b'/').map_or(self.rest.len(), |i| end + i);
        let name = CString::new(&self.rest[start..end]).map_err(|_| Errno::EINVAL)?;
        let step = Step { name, last: after == self.rest.len(), slash: after > end };
        self.rest.drain(..after);
        Ok(Some(step))
    }

    /// The end of a way that has no component, like `/`.
    fn arrive(self) -> Result<Resolved, Errno> {
        match self.place {
            Place::View(node) => {
                Ok(Resolved { path: node.judged_path(self.caller), target: Target::View(node) })
            }
            Place::Host(base) => {
                let object = Object::of(again(base.as_fd())?)?;
                Ok(Resolved { path: name_of(object.as_fd())?, target: Target::Host(object) })
            }
        }
    }

    fn host_step(&mut self, step: &Step) -> Result<Option<Found>, Errno> {
        let Place::Host(base) = &self.place else { return Ok(None) };
        let base = base.clone();
        if step.name.as_bytes() == b".." {
            match self.hides(&base, b"") {
                // A directory that was removed has no name, and so none that is hidden.
                Ok(false) | Err(Errno::ENOENT) => {}
                hidden => return hidden.and(Err(Errno::ENOENT)),
            }
            if self.at_fence(&base)? {
                return if step.last { self.stand(base).map(Some) } else { Ok(None) };
            }
        }
        let there = lexical(&self.at, step.name.as_bytes());
        if !step.is_dots() && !may_look(self.caller, &self.at, &there) {
            return Err(self.refused(&there));
        }
        let above = if step.name.as_bytes() == b".." { mount_above(base.as_fd()) } else { None };
        let (start, name) = match &above {
            Some(_) if self.restrict().contains(ResolveFlag::RESOLVE_NO_XDEV) => return Err(Errno::EXDEV),
            Some(name) => mounts::start((root()?, b"/"), name, name.to_bytes(), self.restrict())?,
            None => mounts::start((base.as_fd(), &self.at), &step.name, &there, self.restrict())?,
        };
        for _ in 0..RETRIES {
            let object = match find(start, &name, false, self.restrict()).and_then(Object::of) {
                Ok(object) => object,
                Err(error) => return self.failed((&base, &there), step, error).map(Some),
            };
            if on_procfs(&object)? {
                return self.enter_proc(&object, step);
            }
            if object.is_link() && step.follows(self.how) {
                return self.follow(&base, &object, (step, &there)).map(|()| None);
            }
            if !object.is_dir() && !step.may_be_file() {
                return self.failed((&base, &there), step, Errno::ENOTDIR).map(Some);
            }
            if !step.last {
                // Where `..` leads only the kernel knows.
                let up = step.name.as_bytes() == b"..";
                self.at = if up { name_of(object.as_fd())? } else { there };
                self.place = Base::held(object.fd);
                return Ok(None);
            }
            // Replaced in this moment: what now has the name is the answer.
            if let Ok(path) = name_of(object.as_fd()) {
                return Ok(Some(Found::There(Resolved { path, target: Target::Host(object) })));
            }
        }
        Err(Errno::ENOENT)
    }

    /// Ends at a place that is already held.
    fn stand(&self, base: Base) -> Result<Found, Errno> {
        let object = Object::of(again(base.as_fd())?)?;
        Ok(Found::There(Resolved { path: name_of(object.as_fd())?, target: Target::Host(object) }))
    }

    /// Whether `..` would leave the fence; EXDEV if that is an error.
    fn at_fence(&self, base: &Base) -> Result<bool, Errno> {
        match &self.fence {
            Some((_, fence, _)) if same(fence, &fstat(base)?) => {
                if self.how.restrict.contains(ResolveFlag::RESOLVE_BENEATH) {
                    Err(Errno::EXDEV)
                } else {
                    Ok(true)
                }
            }
            _ => Ok(false),
        }
    }

    /// Whether the policy hides the name `leaf` in `base` (or `base` itself).
    fn hides(&self, base: &Base, leaf: &[u8]) -> Result<bool, Errno> {
        if !self.caller.hides_any() {
            return Ok(false);
        }
        let dir = name_of(base.as_fd())?;
        Ok(self.caller.hides(&if leaf.is_empty() { dir } else { join(&dir, leaf) }))
    }

    /// The answer for a step to the name `there` that the kernel refused.
    fn failed(&self, (base, there): (&Base, &[u8]), step: &Step, error: Errno) -> Result<Found, Errno> {
        if error == Errno::ENOENT && step.last && self.how.missing {
            let mut leaf = step.name.as_bytes().to_vec();
            if step.slash {
                leaf.push(b'/');
            }
            let fd = mounts::real_parent(there).map_or_else(|| again(base.as_fd()), Ok)?;
            let dir = Dir { path: name_of(base.as_fd())?.into(), fd };
            let leaf = CString::new(leaf).map_err(|_| Errno::EINVAL)?;
            return Ok(Found::Missing(Parent { dir, leaf }));
        }
        Err(if error != Errno::ENOENT && self.hides(base, step.name.as_bytes())? {
            Errno::ENOENT
        } else {
            error
        })
    }

    /// One more link on the way.
    fn count_link(&mut self) -> Result<(), Errno> {
        self.links += 1;
        let refused = self.how.restrict.contains(ResolveFlag::RESOLVE_NO_SYMLINKS);
        if refused || self.links > MAX_LINKS { Err(Errno::ELOOP) } else { Ok(()) }
    }

    /// Follows a link, which the guest must be allowed to see itself.
    fn follow(&mut self, base: &Base, link: &Object, (step, name): (&Step, &[u8])) -> Result<(), Errno> {
        if !self.caller.allows(Access::Metadata, name) {
            return Err(self.refused(name));
        }
        self.count_link()?;
        if step.last && !may_follow(&fstat(base)?, &link.stat) {
            return Err(Errno::EACCES);
        }
        let text = readlink(link.as_fd(), c"")?;
        if text.is_empty() {
            return Err(Errno::ENOENT);
        }
        self.enter_link(&text, step)
    }

    /// Goes on with a link's text; slashes behind the link stay behind its text.
    fn enter_link(&mut self, text: &[u8], step: &Step) -> Result<(), Errno> {
        if step.last && step.slash {
            self.rest.push(b'/');
        }
        self.enter(text)
    }

    /// The answer where the walk may not go on, at this name.
    fn refused(&self, name: &[u8]) -> Errno {
        let whole = if leads_out(&self.rest) { name.to_vec() } else { lexical(name, &self.rest) };
        refusal(self.caller, self.how.want, (name, &whole))
    }
}
