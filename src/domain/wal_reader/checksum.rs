//! The checksum of a record.

/// Room for a small record whose header follows its body: that is the order of its checksum (`ValidXLogRecord`, all
/// versions), and two sums of a few bytes take longer than one and a copy.
#[derive(Debug)]
pub(super) struct Joined(Box<[u8; 512]>);

impl Default for Joined {
    fn default() -> Joined {
        Joined(Box::new([0; 512]))
    }
}

impl Joined {
    /// The CRC-32C of the body and then of the header up to where it stands.
    #[inline]
    pub(super) fn checksum(&mut self, body: &[u8], head: &[u8]) -> u32 {
        let Some(room) = self.0.get_mut(..body.len() + head.len()) else {
            return crc32c::crc32c_append(crc32c::crc32c(body), head);
        };
        let (first, second) = room.split_at_mut(body.len());
        first.copy_from_slice(body);
        second.copy_from_slice(head);
        crc32c::crc32c(room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_that_of_the_body_and_then_the_header_whatever_fits() {
        let bytes: Vec<u8> = (0..600u32).map(|number| (number * 37 % 251) as u8).collect();
        let mut joined = Joined::default();
        for length in [0, 1, 7, 8, 491, 492, 493, 580] {
            let (body, head) = (&bytes[..length], &bytes[580..]);
            assert_eq!(joined.checksum(body, head), crc32c::crc32c(&[body, head].concat()), "{length}");
        }
    }
}
