//! The thread that looks names of hosts up for guests, with the policy's word on each; and what was carried
//! to and from hosts.

use crate::report::audit::Audit;
use crate::report::record::Record;
use crate::sandbox::Sandbox;
use crate::state::resolver::{Asker, Judge, Resolver};
use crate::state::traffic::Carried;
use rxbox_policy::{DeniedWhat, Policy, Reach};
use std::borrow::Cow;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

/// A resolver for the run, if names are to be looked up in it: the profile speaks of some, or it is to be
/// learned from it which are used.
///
/// # Errors
/// There is no loopback interface.
pub(super) fn resolver(policy: &Policy, learns: bool) -> io::Result<Option<Resolver>> {
    let wanted = policy.has_hosts() || learns && policy.reach().internet;
    wanted.then(|| Resolver::open(|host| policy.resolve(host, false).allowed())).transpose()
}

/// What the supervisor has to reach: what the profile allows, and where names are looked up.
pub(super) fn reach(sandbox: &Sandbox) -> Cow<'_, Reach> {
    let reach = sandbox.policy.reach();
    let (Some(resolver), Some(ports)) = (sandbox.resolver.get(), &reach.connect) else {
        return Cow::Borrowed(reach);
    };
    let connect = Some(ports.iter().copied().chain(resolver.ports()).collect());
    Cow::Owned(Reach { connect, ..reach.clone() })
}

/// Records of what connections have carried.
pub(super) fn traffic(sandbox: &Sandbox) -> Vec<String> {
    let carried = sandbox.carried();
    let records = carried.iter().map(|(to, carried)| {
        let Carried { connections, sent, received } = *carried;
        Record::Traffic { to, connections, sent, received }.line()
    });
    records.collect()
}

/// Begins to answer, if there is a resolver.
///
/// # Errors
/// There can be no thread.
pub(super) fn serve(sandbox: &Arc<Sandbox>) -> io::Result<()> {
    if sandbox.resolver.get().is_none() {
        return Ok(());
    }
    let sandbox = sandbox.clone();
    let serve = move || {
        let Some(resolver) = sandbox.resolver.get() else { return };
        let rules = Rules { policy: &sandbox.policy, audit: &sandbox.audit };
        if let Err(e) = resolver.serve(&rules) {
            sandbox.audit.note(&format!("names are not looked up any more: {}", e.desc()));
        }
    };
    std::thread::Builder::new().name("hosts".to_owned()).spawn(serve).map(drop)
}

struct Rules<'a> {
    policy: &'a Policy,
    audit: &'a Audit,
}

impl Judge for Rules<'_> {
    fn may_ask(&self, asker: &Asker, host: &str) -> bool {
        let decision = self.policy.resolve(host, asker.openly);
        if !decision.allowed() && self.policy.is_searched(host) {
            // The C library has made it of one that it asks for as well.
            self.audit.count(&decision);
            return false;
        }
        self.audit.enforce(&decision, &DeniedWhat::Resolve(host), || asker.who.clone()).is_ok()
    }

    fn is_denied(&self, host: &str) -> bool {
        !self.policy.resolve(host, true).allowed()
    }

    fn is_allowed(&self, address: IpAddr) -> bool {
        self.policy.speaks_of(address)
    }

    fn note(&self, text: &str) {
        self.audit.note(text);
    }
}
