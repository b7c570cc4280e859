//! Steps through the guest's own `/proc`, and out of it by magic links.

use super::{Walk, open_file};
use crate::path::place::{Base, Place, Step};
use crate::path::{Found, Resolved, Target};
use crate::state::names::{Object, name_of};
use crate::view::{Link, Node};
use nix::errno::Errno;
use nix::fcntl::ResolveFlag;
use nix::sys::stat::fstat;
use std::os::fd::AsFd;

/// The inode number of every procfs's root directory (linux/proc_fs.h).
const PROC_ROOT: u64 = 1;

impl Walk<'_> {
    /// The step led into a procfs: the guest's own `/proc` begins. Other parts of a procfs, mounted
    /// somewhere, are not there.
    pub(super) fn enter_proc(&mut self, object: &Object, step: &Step) -> Result<Option<Found>, Errno> {
        if object.stat.st_ino != PROC_ROOT || self.how.restrict.contains(ResolveFlag::RESOLVE_NO_XDEV) {
            return Err(if object.stat.st_ino == PROC_ROOT { Errno::EXDEV } else { Errno::ENOENT });
        }
        let node = Node::root();
        if step.last {
            return Ok(Some(self.at_node(node)));
        }
        self.place = Place::View(node);
        Ok(None)
    }

    fn at_node(&self, node: Node) -> Found {
        Found::There(Resolved { path: node.judged_path(self.caller), target: Target::View(node) })
    }

    pub(super) fn view_step(&mut self, step: &Step) -> Result<Option<Found>, Errno> {
        let Place::View(node) = &self.place else { return Ok(None) };
        let child = match step.name.as_bytes() {
            b"." => node.clone(),
            b".." => match node.parent() {
                Some(parent) => parent,
                None => {
                    self.jump(Place::root()?)?;
                    return Ok(None);
                }
            },
            name => node.child(self.caller, name)?,
        };
        if step.follows(self.how) {
            match child.link(self.caller)? {
                Some(Link::Text(text)) => {
                    self.count_link()?;
                    return self.enter_link(&text, step).map(|()| None);
                }
                Some(Link::Jump(target)) => return self.take_magic_link(target, step),
                None => (),
            }
        }
        if !child.is_dir() && !step.may_be_file() {
            return Err(Errno::ENOTDIR);
        }
        if step.last {
            return Ok(Some(self.at_node(child)));
        }
        self.place = Place::View(child);
        Ok(None)
    }

    /// Goes on at an object of the guest's own, to which a link of its `/proc` leads.
    fn take_magic_link(&mut self, target: Target, step: &Step) -> Result<Option<Found>, Errno> {
        self.count_link()?;
        if self.how.restrict.contains(ResolveFlag::RESOLVE_NO_MAGICLINKS) {
            return Err(Errno::ELOOP);
        }
        if self.fence.is_some() {
            return Err(Errno::EXDEV);
        }
        if step.may_be_file() {
            return Ok(Some(Found::There(match target {
                Target::Host(object) => {
                    Resolved { path: name_of(object.as_fd())?, target: Target::Host(object) }
                }
                Target::View(node) => return Ok(Some(self.at_node(node))),
                Target::Open(file) => open_file(file),
            })));
        }
        let place = match target {
            Target::Host(object) => Base::held(object.fd),
            Target::View(node) => Place::View(node),
            Target::Open(file) => Place::file(self.caller, file)?,
        };
        let is_dir = match &place {
            Place::Host(base) => fstat(base)?.st_mode & libc::S_IFMT == libc::S_IFDIR,
            Place::View(node) => node.is_dir(),
        };
        if !is_dir {
            return Err(Errno::ENOTDIR);
        }
        self.jump(place).map(|()| None)
    }
}
