//! Messages on a pipe: one line of JSON, then as many bytes as it announces.

use std::io::{self, BufRead, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of one line. A set of four thousand modules needs half a megabyte.
const MAX_LINE: u64 = 8 << 20;

/// Bytes after a line: the largest reply there is, with room.
pub(super) const MAX_BODY: usize = 80 << 20;

/// Writes one message.
pub(super) fn write<T: Serialize>(out: &mut impl Write, head: &T, body: &[u8]) -> io::Result<()> {
    let mut line = serde_json::to_vec(head)?;
    line.push(b'\n');
    out.write_all(&line)?;
    out.write_all(body)?;
    out.flush()
}

/// Reads one message; `None` where the pipe ends before it. `length` says what its line announces.
pub(super) fn read<T: DeserializeOwned>(
    input: &mut impl BufRead,
    length: impl Fn(&T) -> usize,
) -> io::Result<Option<(T, Vec<u8>)>> {
    let invalid = |message: &str| io::Error::new(io::ErrorKind::InvalidData, message.to_owned());
    let mut line = vec![];
    input.take(MAX_LINE).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') {
        return Err(invalid("the message breaks off or is too long"));
    }
    let head: T = serde_json::from_slice(&line)?;
    let wanted = length(&head);
    if wanted > MAX_BODY {
        return Err(invalid("the message announces too many bytes"));
    }
    let mut body = vec![];
    input.take(wanted as u64).read_to_end(&mut body)?;
    if body.len() < wanted {
        return Err(invalid("the message breaks off"));
    }
    Ok(Some((head, body)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_come_back_whole_or_not_at_all() {
        let mut bytes = vec![];
        write(&mut bytes, &5usize, b"a\nbcd").unwrap();
        write(&mut bytes, &0usize, b"").unwrap();
        let mut input = &bytes[..];
        assert_eq!(read(&mut input, |n: &usize| *n).unwrap(), Some((5, b"a\nbcd".to_vec())));
        assert_eq!(read(&mut input, |n: &usize| *n).unwrap(), Some((0, vec![])));
        assert_eq!(read(&mut input, |n: &usize| *n).unwrap(), None);
        for cut in 1..7 {
            assert!(read(&mut &bytes[..cut], |n: &usize| *n).is_err(), "{cut}");
        }
        let huge = format!("{}\n", MAX_BODY + 1);
        assert!(read(&mut huge.as_bytes(), |n: &usize| *n).is_err());
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = read(&mut &bytes[..], |n: &usize| *n);
        }
    }
}
