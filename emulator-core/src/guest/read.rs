//! Structures in guest memory: vectors, arrays of strings, times. Each is read once.

use super::access;
use super::layout::TASK_SIZE;
use nix::errno::Errno;

/// A guest vector of iovec(3type): addresses and lengths.
pub type Vectors = Vec<(u64, u64)>;

/// Reads an array of iovec(3type): at most 1024. None reaches beyond user space, which the kernel looks at
/// before it transfers anything (readv(2)).
///
/// # Errors
/// EINVAL for more, and for a negative length; EFAULT.
pub fn vectors(addr: u64, count: u64) -> Result<Vectors, Errno> {
    if count > libc::UIO_MAXIOV as u64 {
        return Err(Errno::EINVAL);
    }
    let mut raw = vec![0; count as usize * 16];
    let copied = access::copy_in(&mut raw, addr);
    if let Err(fault) = &copied {
        raw.truncate(fault.done);
    }
    let word = |b: &[u8]| u64::from_le_bytes(std::array::from_fn(|i| b[i]));
    let all: Vectors = raw.chunks_exact(16).map(|c| (word(c), word(&c[8..]))).collect();
    if all.iter().any(|v| v.1 > i64::MAX as u64) {
        return Err(Errno::EINVAL);
    }
    copied?;
    if all.iter().any(|v| is_beyond(v.0, v.1)) { Err(Errno::EFAULT) } else { Ok(all) }
}

/// Whether so many bytes from an address on do not all lie in user space.
pub fn is_beyond(addr: u64, len: u64) -> bool {
    addr.checked_add(len).is_none_or(|end| end > TASK_SIZE)
}

/// Takes `n` bytes off the front of the vectors.
pub fn advance(rest: &mut Vectors, mut n: u64) {
    for v in rest.iter_mut() {
        let step = v.1.min(n);
        *v = (v.0.wrapping_add(step), v.1 - step);
        n -= step;
    }
    rest.retain(|v| v.1 > 0);
}

/// A NULL-terminated array of strings, bounded as execve(2) bounds it: 128 KiB a string, 6 MiB in all.
///
/// # Errors
/// E2BIG beyond that, EFAULT.
pub fn strings(addr: u64) -> Result<Vec<Vec<u8>>, Errno> {
    const STRING: usize = 128 * 1024;
    const ALL: usize = 6 << 20;
    let mut out = Vec::new();
    let mut total = 0;
    if addr == 0 {
        return Ok(out);
    }
    for n in 0.. {
        let at = access::read_u64(addr.wrapping_add(8 * n))?;
        if at == 0 {
            break;
        }
        let text = access::copy_str(at, STRING)
            .map_err(|e| if e == Errno::ENAMETOOLONG { Errno::E2BIG } else { e })?;
        total += text.len() + 9;
        if total > ALL {
            return Err(Errno::E2BIG);
        }
        out.push(text);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advancing_vectors_drops_whole_ones_and_cuts_one() {
        let mut v = vec![(0x1000, 10), (0x2000, 0), (0x3000, 20)];
        advance(&mut v, 15);
        assert_eq!(v, [(0x3005, 15)]);
        advance(&mut v, 15);
        assert!(v.is_empty());
    }
}
