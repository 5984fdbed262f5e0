//! What a stream of a connection begins with, which says what it is. Pure.

const LANE: [u8; 4] = *b"SBL1";
const BULK: [u8; 4] = *b"SBK1";
/// Asks to take over a session, and says that it is so.
pub(crate) const MOVE: [u8; 4] = *b"SBM1";
/// None has more.
pub const LONGEST: usize = 12;

/// What a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// The lane of a number; 0 is control.
    Lane(u16),
    /// The first of a connection that takes over the session of this name.
    Move(u64),
    /// The bulk stream of a number.
    Bulk(u64),
}

/// Why there is no beginning in what has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRead {
    /// It has this length, at least.
    Longer(usize),
    /// It begins with something else.
    Unknown,
}

impl Beginning {
    /// Reads one. Nobody is asked for more bytes than it has: what follows belongs to the stream.
    ///
    /// # Errors
    /// [`NotRead`].
    pub fn read(bytes: &[u8]) -> Result<Self, NotRead> {
        let Some((magic, number)) = bytes.split_first_chunk() else {
            return Err(NotRead::Longer(LANE.len()));
        };
        match *magic {
            LANE => Ok(Self::Lane(u16::from_le_bytes(of(number)?))),
            MOVE => Ok(Self::Move(u64::from_le_bytes(of(number)?))),
            BULK => Ok(Self::Bulk(u64::from_le_bytes(of(number)?))),
            _ => Err(NotRead::Unknown),
        }
    }

    /// What is written.
    pub fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Lane(number) => [&LANE[..], &number.to_le_bytes()].concat(),
            Self::Move(name) => [&MOVE[..], &name.to_le_bytes()].concat(),
            Self::Bulk(number) => [&BULK[..], &number.to_le_bytes()].concat(),
        }
    }
}

/// The number behind the first four bytes.
fn of<const LENGTH: usize>(bytes: &[u8]) -> Result<[u8; LENGTH], NotRead> {
    let number = bytes.first_chunk();
    number.copied().ok_or(NotRead::Longer(4 + LENGTH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written_and_not_before_it_is_there() {
        let all = [
            (Beginning::Lane(7), &b"SBL1\x07\0"[..]),
            (Beginning::Move(7), b"SBM1\x07\0\0\0\0\0\0\0"),
            (Beginning::Bulk(7), b"SBK1\x07\0\0\0\0\0\0\0"),
        ];
        for (beginning, bytes) in all {
            assert_eq!(beginning.to_bytes(), bytes);
            for length in 0..bytes.len() {
                let wanted = if length < 4 { 4 } else { bytes.len() };
                let read = Beginning::read(&bytes[..length]);
                assert_eq!(read, Err(NotRead::Longer(wanted)));
            }
            let more = [bytes, b"more"].concat();
            assert_eq!(Beginning::read(&more), Ok(beginning));
        }
    }

    #[test]
    fn something_else_is_unknown_once_four_bytes_are_there() {
        assert_eq!(Beginning::read(b"SBX"), Err(NotRead::Longer(4)));
        assert_eq!(Beginning::read(b"SBX1"), Err(NotRead::Unknown));
    }
}
