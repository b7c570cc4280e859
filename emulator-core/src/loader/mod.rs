//! From files to a program ready to run: images mapped, stack built, registers known.
//!
//! The work is split so that what is decided from hostile bytes is pure: [`elf`] checks a file into an image,
//! [`script`] reads `#!` lines, [`stack`] builds the initial stack; only `place` touches the address space.
//! Nothing is mapped before all files have been checked.

pub mod elf;
mod error;
mod file;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod place;
pub mod script;
pub mod stack;
pub mod vdso;

pub use error::LoadError;
pub use file::{ImageFile, ReadAt};

use nix::errno::Errno;

use self::elf::{ElfImage, HEADER_LEN, PROGRAM_HEADER_SIZE};
use self::place::Part;
use self::script::Script;
use self::stack::{Auxiliary, ProgramInfo, Strings};
use crate::guest::random::spread;
use crate::guest::{AddressSpace, HostMap, Span};

/// A program file that can be loaded, and the dynamic linker that it names.
#[derive(Debug)]
pub struct Executable {
    file: ImageFile,
    image: ElfImage,
    linker: Option<(ImageFile, ElfImage)>,
}

impl Executable {
    /// Checks an ELF file; scripts are [resolved](resolve_scripts) before. `open` opens the dynamic linker by
    /// the path that the program names.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn check(
        file: ImageFile,
        open: impl FnOnce(&[u8]) -> Result<ImageFile, Errno>,
    ) -> Result<Executable, LoadError> {
        let image = ElfImage::parse(&file)?;
        let linker = match &image.interpreter {
            Some(path) => Some(open_linker(path, open)?),
            None => None,
        };
        Ok(Executable { file, image, linker })
    }
}

/// What to start, and with what.
#[derive(Debug)]
pub struct Program<'a> {
    /// The file, with its dynamic linker.
    pub executable: Executable,
    /// The strings that it gets.
    pub strings: Strings<'a>,
    /// Identity and machine.
    pub auxiliary: Auxiliary,
    /// Decides the random part of placement. Not the seed of the space, so that one address does not tell
    /// another.
    pub seed: u64,
}

/// A program ready to run. All general registers but the stack pointer start as 0, and so does the FS base.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Start {
    /// First instruction: the dynamic linker's, if there is one.
    pub entry: u64,
    /// Stack pointer.
    pub sp: u64,
    /// Pages of the initial stack.
    pub stack: Span,
    /// Pages of the program's image.
    pub image: Span,
    /// `/proc/self/cmdline`
    pub arguments: Span,
    /// `/proc/self/environ`
    pub environment: Span,
    /// `/proc/self/auxv`
    pub auxiliary: Span,
}

/// Loads a program into an empty space (the vDSO aside).
///
/// # Errors
/// See [`LoadError`]. After `NoRoom` or `Host` the space is half filled and of no use.
pub fn load<H: HostMap>(
    space: &mut AddressSpace,
    host: &mut H,
    program: &Program<'_>,
) -> Result<Start, LoadError> {
    let Executable { file, image, linker } = &program.executable;
    let [image_bits, heap_bits, stack_bits, jitter] = spread(program.seed);
    let stack_span = place::map_stack(space, host, image.executable_stack, stack_bits)?;
    let placed = place::choose(space, file, image, Part::Program(image_bits))?;
    place::map(space, host, file, image, &placed)?;
    let (entry, base) = match linker {
        Some((file, linker)) => {
            let at = place::choose(space, file, linker, Part::Linker)?;
            place::map(space, host, file, linker, &at)?;
            (at.at(linker.entry), at.bias)
        }
        None => (placed.at(image.entry), 0),
    };
    space.set_heap_start(place::heap_start(placed.span, heap_bits));
    let info = ProgramInfo {
        program_headers: image.program_headers.map_or(0, |address| placed.at(address)),
        program_header_size: PROGRAM_HEADER_SIZE,
        program_header_count: image.program_header_count.into(),
        base,
        entry: placed.at(image.entry),
    };
    let limit = space.limits().stack;
    let aux = &program.auxiliary;
    let stack = stack::build(stack_span.end, stack_span.len(), limit, &program.strings, &info, aux, jitter)?;
    let stored = host.store(stack.sp, &stack.bytes);
    stored.map_err(|errno| place::host_error("writing the stack", errno))?;
    Ok(Start {
        entry,
        sp: stack.sp,
        stack: stack_span,
        image: placed.span,
        arguments: stack.arguments,
        environment: stack.environment,
        auxiliary: stack.auxiliary,
    })
}

/// Opens and checks the dynamic linker.
fn open_linker(
    path: &[u8],
    open: impl FnOnce(&[u8]) -> Result<ImageFile, Errno>,
) -> Result<(ImageFile, ElfImage), LoadError> {
    let file = open(path).map_err(|errno| LoadError::Interpreter { path: path.to_vec(), errno })?;
    let unusable = |why| LoadError::BadInterpreter { path: path.to_vec(), why: Box::new(why) };
    match ElfImage::parse(&file) {
        // To the kernel this is a read that failed.
        _ if file.size() < HEADER_LEN as u64 => {
            Err(unusable(LoadError::Host { what: "the ELF header", errno: Errno::EIO }))
        }
        Ok(image) => Ok((file, image)),
        Err(why) => Err(unusable(why)),
    }
}

/// A program file after its scripts.
#[derive(Debug)]
pub struct Resolved {
    /// A file that is no script.
    pub file: ImageFile,
    /// The path by which it was found: what was called, or the last interpreter.
    pub path: Vec<u8>,
    /// The arguments for it.
    pub argv: Vec<Vec<u8>>,
}

/// Follows `#!` lines from `file`, which was called by `path` with `argv`, to a file that is no script.
/// `open` opens interpreters.
///
/// # Errors
/// [`LoadError::BadScript`], [`LoadError::ScriptDepth`], [`LoadError::Interpreter`].
pub fn resolve_scripts(
    file: ImageFile,
    path: &[u8],
    argv: Vec<Vec<u8>>,
    mut open: impl FnMut(&[u8]) -> Result<ImageFile, Errno>,
) -> Result<Resolved, LoadError> {
    let mut resolved = Resolved { file, path: path.to_vec(), argv };
    for _ in 0..=script::MAX_DEPTH {
        let Some(script) = read_script(&resolved.file)? else { return Ok(resolved) };
        let interpreter = script.interpreter.clone();
        let file = open(&interpreter)
            .map_err(|errno| LoadError::Interpreter { path: interpreter.clone(), errno })?;
        let argv = script.arguments(&resolved.path, &resolved.argv);
        resolved = Resolved { file, path: interpreter, argv };
    }
    Err(LoadError::ScriptDepth)
}

fn read_script(file: &ImageFile) -> Result<Option<Script>, LoadError> {
    let len = file.size().min(script::HEAD_LEN as u64) as usize;
    script::parse(&file.read_exact_at("the first line", 0, len)?)
}
