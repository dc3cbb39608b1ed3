//! Feedback tokens, bit for bit those of `modelcycle_runtime.serve.tokens`, which reads them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const FORMAT: u8 = 1;
const ID_BYTES: usize = 8;
const BODY_BYTES: usize = 29;
const MAC_BYTES: usize = 16;
/// Characters of a token.
pub const LENGTH: usize = (BODY_BYTES + MAC_BYTES) / 3 * 4;

/// Signs with the key that all replicas of a deployment share.
#[derive(Clone)]
pub struct Signer {
    /// With the key worked in, which every token starts from.
    keyed: Hmac<Sha256>,
    version: u32,
}

impl Signer {
    /// Of the tokens of one version.
    pub fn new(key: &[u8], version: u32) -> Option<Signer> {
        Hmac::<Sha256>::new_from_slice(key).ok().map(|keyed| Signer { keyed, version })
    }

    pub fn sign(&self, event_time: i64, prediction: f64, id: [u8; ID_BYTES]) -> [u8; LENGTH] {
        let mut raw = [0; BODY_BYTES + MAC_BYTES];
        raw[0] = FORMAT;
        raw[1..5].copy_from_slice(&self.version.to_le_bytes());
        raw[5..13].copy_from_slice(&event_time.to_le_bytes());
        raw[13..21].copy_from_slice(&prediction.to_le_bytes());
        raw[21..29].copy_from_slice(&id);
        let mut mac = self.keyed.clone();
        mac.update(&raw[..BODY_BYTES]);
        raw[BODY_BYTES..].copy_from_slice(&mac.finalize().into_bytes()[..MAC_BYTES]);
        let mut token = [0; LENGTH];
        // It can't fail: the length is that of these bytes.
        let written = URL_SAFE.encode_slice(raw, &mut token);
        debug_assert_eq!(written, Ok(LENGTH));
        token
    }
}

/// Random ids, asked of the system many at a time.
pub struct Ids {
    buffer: [u8; 4096],
    used: usize,
}

impl Default for Ids {
    fn default() -> Self {
        Ids { buffer: [0; 4096], used: 4096 }
    }
}

impl Ids {
    pub fn fresh(&mut self) -> [u8; ID_BYTES] {
        if self.used == self.buffer.len() {
            getrandom::fill(&mut self.buffer).expect("the system has no random bytes");
            self.used = 0;
        }
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&self.buffer[self.used..self.used + ID_BYTES]);
        self.used += ID_BYTES;
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_one_that_python_signs() {
        // Signer(b"k" * 32)._sign(_BODY.pack(1, 7, 1221436800000000000, -0.5, b"abcdefgh"))
        let signer = Signer::new(&[b'k'; 32], 7).unwrap();
        let token = signer.sign(1_221_436_800_000_000_000, -0.5, *b"abcdefgh");
        assert_eq!(std::str::from_utf8(&token), Ok("AQcAAAAAAJdTTGrzEAAAAAAAAOC_YWJjZGVmZ2i08cAYtPPFRhf-XVDr_-w2"));
    }

    #[test]
    fn ids_differ() {
        let mut ids = Ids::default();
        let some: std::collections::HashSet<_> = (0..2000).map(|_| ids.fresh()).collect();
        assert_eq!(some.len(), 2000);
    }
}
