//! Chance: the one place where randomness is drawn.

use postrider_core::machine::Entropy;

/// Random numbers of the operating system, fetched in bulk so that a decision costs no system call.
pub struct SystemEntropy {
    pool: [u8; 512],
    used: usize,
}

impl SystemEntropy {
    /// An empty pool, filled at the first draw.
    pub fn new() -> SystemEntropy {
        SystemEntropy { pool: [0; 512], used: 512 }
    }
}

impl Default for SystemEntropy {
    fn default() -> Self {
        SystemEntropy::new()
    }
}

impl Entropy for SystemEntropy {
    fn next_u64(&mut self) -> u64 {
        if self.used + 8 > self.pool.len() {
            fill(&mut self.pool);
            self.used = 0;
        }
        let mut number = [0; 8];
        number.copy_from_slice(&self.pool[self.used..self.used + 8]);
        self.used += 8;
        u64::from_le_bytes(number)
    }
}

/// Random bytes for keys and nonces.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives random numbers once it has booted");
}
