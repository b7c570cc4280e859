//! Random numbers for tests: the same in every run, and others on request.
//!
//! All tests share one seed, `RXBOX_SEED` or else a fixed one, and each test has a stream of its own. The
//! seed is printed where a generator is made, so a test that fails shows it, and `RXBOX_SEED=n` repeats what
//! it did.

/// A generator of random numbers.
#[derive(Debug)]
pub struct Random(fastrand::Rng);

impl Random {
    /// A generator for one test; `stream` tells the tests of a file apart.
    pub fn new(stream: u64) -> Random {
        let seed: u64 = std::env::var("RXBOX_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_240_229);
        println!("RXBOX_SEED={seed}");
        // Seeds that differ in few bits give unlike numbers: the generator mixes each of its outputs.
        Random(fastrand::Rng::with_seed(seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// A generator for what this seed alone decides.
    pub fn seeded(seed: u64) -> Random {
        Random(fastrand::Rng::with_seed(seed))
    }

    /// 64 random bits.
    #[expect(clippy::should_implement_trait, reason = "an iterator would end")]
    pub fn next(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// Eight random bits.
    pub fn byte(&mut self) -> u8 {
        self.0.u8(..)
    }

    /// A number less than `n`.
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0.u64(..n)
    }

    /// A place in a list of `n`.
    ///
    /// # Panics
    /// If `n` is 0.
    pub fn index(&mut self, n: usize) -> usize {
        self.0.usize(..n)
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of them.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }

    /// Puts them in any order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        self.0.shuffle(items);
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn numbers_are_the_same_for_a_stream_and_differ_between_streams() {
        let numbers = |stream| {
            let mut random = Random::new(stream);
            [(); 20].map(|()| random.next())
        };
        assert_eq!(numbers(1), numbers(1));
        assert!(numbers(1).iter().all(|n| !numbers(2).contains(n)));
    }
}
