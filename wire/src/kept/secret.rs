//! What only the user's own processes know: who does not, can neither foresee where code lies nor make a file
//! that is taken for a kept translation.

use super::{HEAD, Mapping, SEAL};

/// Bytes of a secret.
pub const SECRET: usize = 32;

/// The user's secret.
#[derive(Clone)]
pub struct Secret([u8; SECRET]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// From its bytes.
    pub fn new(bytes: [u8; SECRET]) -> Secret {
        Secret(bytes)
    }

    /// Words for the places of the code cache and of images, the same in each run. They tell nothing of the
    /// secret.
    pub fn places(&self) -> [u64; 2] {
        let hash = self.hash(b"places", &[]);
        [0, 8].map(|at| u64::from_le_bytes(std::array::from_fn(|i| hash[at + i])))
    }

    /// Name of the file for this code of the program file at `path`, of so many bytes.
    pub fn name(&self, path: &[u8], size: u64, mapping: &Mapping) -> String {
        let Mapping { address, len, offset } = *mapping;
        let numbers = [size, address, len, offset].map(u64::to_le_bytes).concat();
        let hash = self.hash(b"name", &[&numbers, path].concat());
        let digits = hash[..16].iter().map(|byte| format!("{byte:02x}"));
        digits.chain([EXTENSION.to_owned()]).collect()
    }

    /// What a file's seal is made with.
    pub fn sealer(&self) -> Sealer {
        Sealer(blake3::Hasher::new_keyed(&self.0))
    }

    fn hash(&self, purpose: &[u8], what: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(purpose).update(&[0]).update(what);
        *hasher.finalize().as_bytes()
    }
}

/// What the names of kept translations end with.
pub const EXTENSION: &str = ".kept";

/// Computes the seal of a file, piece by piece.
#[derive(Debug)]
pub struct Sealer(blake3::Hasher);

impl Sealer {
    /// The next bytes behind the seal's place.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Whether this is the seal.
    pub fn is(&self, seal: &[u8; 32]) -> bool {
        // Compares in constant time.
        self.0.finalize() == *seal
    }

    /// The seal.
    pub fn seal(&self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}

/// Puts the seal into a whole file.
pub fn seal(secret: &Secret, file: &mut [u8]) {
    let mut sealer = secret.sealer();
    sealer.update(file.get(SEAL.end..).unwrap_or_default());
    if let Some(place) = file.get_mut(SEAL) {
        place.copy_from_slice(&sealer.seal());
    }
}

/// Whether a whole file has the user's seal.
pub fn is_sealed(secret: &Secret, file: &[u8]) -> bool {
    let mut sealer = secret.sealer();
    sealer.update(file.get(SEAL.end..).unwrap_or_default());
    file.len() >= HEAD
        && file.get(SEAL).and_then(|seal| seal.try_into().ok()).is_some_and(|seal| sealer.is(seal))
}

/// Hash of the contents of code.
pub fn contents(code: &[u8]) -> [u8; 32] {
    *blake3::hash(code).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_places_depend_on_the_secret_and_on_all_that_is_named() {
        let (one, two) = (Secret::new([1; SECRET]), Secret::new([2; SECRET]));
        let mapping = Mapping { address: 0x1000, len: 0x2000, offset: 0 };
        let name = one.name(b"/bin/sh", 7, &mapping);
        assert_eq!(name, one.name(b"/bin/sh", 7, &mapping));
        assert_eq!(name.len(), 32 + EXTENSION.len());
        assert!(name != two.name(b"/bin/sh", 7, &mapping) && name != one.name(b"/bin/sh", 8, &mapping));
        assert!(name != one.name(b"/bin/s", 7, &Mapping { offset: 0x1000, ..mapping }));
        assert!(one.places() != two.places());
        assert_eq!(format!("{one:?}"), "Secret");
    }

    #[test]
    fn a_changed_byte_breaks_the_seal() {
        let secret = Secret::new([3; SECRET]);
        let mut file = vec![5; HEAD + 100];
        assert!(!is_sealed(&secret, &file));
        seal(&secret, &mut file);
        assert!(is_sealed(&secret, &file));
        assert!(!is_sealed(&Secret::new([4; SECRET]), &file));
        for at in [8, 39, 40, HEAD + 99] {
            file[at] ^= 1;
            assert!(!is_sealed(&secret, &file), "byte {at}");
            file[at] ^= 1;
        }
        assert!(!is_sealed(&secret, &file[..HEAD + 99]));
    }
}
