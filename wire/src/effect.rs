//! Effects: what a command does beside acting on what its arguments name.
//!
//! Every row of a multiplexer's commands (socket options, control messages, requests of ioctl(2), commands of
//! fcntl(2), prctl(2), …) declares its effects from this closed list, and the supervisor has one question to
//! the policy for each effect. So a new row is judged by what it declares; one that declares nothing does not
//! compile.

/// One effect of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// None that concerns anybody but the guest.
    Harmless,
    /// Chooses route, source or device of packets, which then may go elsewhere than the address that was
    /// judged says. A value of zeros takes such a choice back.
    Route(Choice),
    /// Sends packets about a group to whoever is on the network: the address at this place of the value.
    Emit(Place),
    /// Has a say in the port that the kernel gives to a socket without one. A value of zeros takes it back.
    Bind,
    /// Changes attributes of a file, which outlive the descriptor.
    Attributes,
    /// Changes a terminal, which a process in the background must not do (tty_ioctl(4)).
    Terminal,
    /// Keeps memory of the kernel's, within a bound that the kernel has.
    KernelMemory,
    /// May wait for others.
    Block,
    /// Needs a capability, be it for some values only.
    Privilege,
    /// Tells of the network interface that the value, an `ifreq` (netdevice(7)), names.
    Interface(Named),
    /// Tells of all network interfaces.
    Interfaces,
}

/// How an `ifreq` names an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// By its name, the first 16 bytes.
    Name,
    /// By its number, the 4 bytes behind these.
    Number,
}

impl Effect {
    /// In a word or two, as `rxbox syscalls` shows it.
    pub const fn name(self) -> &'static str {
        match self {
            Effect::Harmless => "harmless",
            Effect::Route(_) => "chooses the way",
            Effect::Emit(_) => "sends packets",
            Effect::Bind => "binds",
            Effect::Attributes => "changes attributes",
            Effect::Terminal => "changes a terminal",
            Effect::KernelMemory => "keeps kernel memory",
            Effect::Block => "may wait",
            Effect::Privilege => "takes a capability",
            Effect::Interface(_) | Effect::Interfaces => "tells of interfaces",
        }
    }
}

/// What of the way of packets a value chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Any of it.
    Way,
    /// The source address at this place and the device whose number, 4 bytes, is at this offset; both are
    /// zero if not chosen.
    Source(Place, u8),
}

/// Where in a value an internet address lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The 4 bytes of an IPv4 address, at this offset.
    V4(u8),
    /// The 16 bytes of an IPv6 address.
    V6(u8),
    /// A `sockaddr_storage` of either.
    Sockaddr(u8),
}

/// No effects.
pub const HARMLESS: &[Effect] = &[Effect::Harmless];

/// Whether effects say anything at all, and `Harmless` nothing besides.
pub(crate) const fn declared(effects: &[Effect]) -> bool {
    let mut i = 0;
    while i < effects.len() {
        if matches!(effects[i], Effect::Harmless) && effects.len() > 1 {
            return false;
        }
        i += 1;
    }
    !effects.is_empty()
}

/// Whether one of the effects depends on what is acted on.
pub(crate) const fn asks(effects: &[Effect]) -> bool {
    let mut i = 0;
    while i < effects.len() {
        if !matches!(effects[i], Effect::Harmless | Effect::Block | Effect::KernelMemory) {
            return true;
        }
        i += 1;
    }
    false
}

/// Whether one of the effects is to wait.
pub(crate) const fn blocks(effects: &[Effect]) -> bool {
    let mut i = 0;
    while i < effects.len() {
        if matches!(effects[i], Effect::Block) {
            return true;
        }
        i += 1;
    }
    false
}
