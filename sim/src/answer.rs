//! What goes over the wire for a read, right or disturbed by a fault.

use std::time::Duration;

use collector::wire::framing::{Framing, FramingError, encode};

use crate::faults::Fault;
use crate::rpc::{OperationError, error_reply};

/// How much filler goes out in one piece.
const FILLER_PIECE: usize = 32 * 1024;

/// One step of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// These bytes.
    Send(Vec<u8>),
    /// These bytes again and again, with a pause, until the peer leaves.
    Repeat(Vec<u8>, Duration),
    /// The channel ends.
    Close,
}

/// Frames a whole message; the chunk size varies with `salt`, as it does on real stations.
pub fn whole(framing: Framing, message: &[u8], salt: u64) -> Result<Vec<Step>, FramingError> {
    let chunk = 2048 + usize::try_from(salt.wrapping_mul(977) % 6000).unwrap_or(0);
    Ok(vec![Step::Send(encode(framing, message, chunk)?)])
}

/// The answer to a read while a fault is set; `message` is the right one.
pub fn disturbed(
    fault: Fault,
    framing: Framing,
    message: &[u8],
    message_id: Option<&str>,
    salt: u64,
) -> Result<Vec<Step>, FramingError> {
    match fault {
        Fault::None
        | Fault::Unreachable
        | Fault::HostKey
        | Fault::SchemaOther
        | Fault::SchemaEndless
        | Fault::SchemaLoop => whole(framing, message, salt),
        Fault::Garbage => whole(framing, b"%!PS-Adobe-3.0\nthis is not what you asked for &%$#\n", salt),
        Fault::RpcError => {
            let error = OperationError::new("resource-denied", "management processor overloaded");
            whole(framing, error_reply(message_id, &error).as_bytes(), salt)
        }
        Fault::BadUtf8 => {
            let mut broken = message.to_vec();
            // Latin-1 where UTF-8 is due: in the first text behind the middle, else at the end.
            let middle = broken.len() / 2;
            let text = broken
                .iter()
                .skip(middle)
                .position(|byte| *byte == b'>')
                .map_or(broken.len(), |at| middle + at + 1);
            broken.splice(text..text, *b"Gro\xdfe");
            whole(framing, &broken, salt)
        }
        Fault::Truncated => {
            let mut framed = encode(framing, message, 0)?;
            framed.truncate(framed.len() / 2);
            Ok(vec![Step::Send(framed), Step::Close])
        }
        Fault::Oversized => Ok(oversized(framing, message)),
        Fault::Slow => Ok(slow(framing, message)),
    }
}

/// The answer to `<get-schema>`, whose text follows the fault already; one without end is cut nowhere.
pub fn schema(fault: Fault, framing: Framing, message: &[u8], salt: u64) -> Result<Vec<Step>, FramingError> {
    if fault == Fault::SchemaEndless {
        Ok(oversized(framing, message))
    } else {
        whole(framing, message, salt)
    }
}

/// The right message, then filler without end.
fn oversized(framing: Framing, message: &[u8]) -> Vec<Step> {
    let head = message.strip_suffix(b"</data></rpc-reply>").unwrap_or(message);
    let filler = b"<filler xmlns=\"urn:ranproof:sim\">0123456789</filler>\n".iter().copied();
    let filler: Vec<u8> = filler.cycle().take(FILLER_PIECE).collect();
    match framing {
        Framing::EndOfMessage => vec![Step::Send(head.to_vec()), Step::Repeat(filler, Duration::ZERO)],
        Framing::Chunked => {
            let framed = |piece: &[u8]| [format!("\n#{}\n", piece.len()).as_bytes(), piece].concat();
            vec![Step::Send(framed(head)), Step::Repeat(framed(&filler), Duration::ZERO)]
        }
    }
}

/// A byte of white space ten times a second, for ever.
fn slow(framing: Framing, message: &[u8]) -> Vec<Step> {
    let head = message.get(..message.len().min(60)).unwrap_or_default();
    let pause = Duration::from_millis(100);
    match framing {
        Framing::EndOfMessage => vec![Step::Send(head.to_vec()), Step::Repeat(b" ".to_vec(), pause)],
        Framing::Chunked => {
            let start = [format!("\n#{}\n", head.len()).as_bytes(), head].concat();
            vec![Step::Send(start), Step::Repeat(b"\n#1\n ".to_vec(), pause)]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use collector::wire::framing::Decoder;

    const MESSAGE: &[u8] = b"<rpc-reply xmlns='urn:ietf:params:xml:ns:netconf:base:1.0' message-id='1'><data><a>12</a></data></rpc-reply>";

    fn bytes(fault: Fault) -> Vec<u8> {
        let steps = disturbed(fault, Framing::Chunked, MESSAGE, Some("1"), 3).unwrap();
        steps
            .into_iter()
            .flat_map(|step| if let Step::Send(bytes) = step { bytes } else { Vec::new() })
            .collect()
    }

    #[test]
    fn faults_without_effect_on_content_leave_it_alone() {
        for fault in [Fault::None, Fault::HostKey] {
            let (_, message) = Decoder::new(Framing::Chunked, 1000).feed(&bytes(fault)).unwrap();
            assert_eq!(message.unwrap(), MESSAGE);
        }
    }

    #[test]
    fn bad_utf8_is_framed_right_and_broken_inside() {
        let (_, message) = Decoder::new(Framing::Chunked, 1000).feed(&bytes(Fault::BadUtf8)).unwrap();
        assert!(String::from_utf8(message.unwrap()).is_err());
    }

    #[test]
    fn truncated_message_lacks_its_end() {
        let mut decoder = Decoder::new(Framing::Chunked, 1000);
        decoder.feed(&bytes(Fault::Truncated)).unwrap();
        assert!(decoder.finish().is_err());
    }
}
