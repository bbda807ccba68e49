//! Message framing of NETCONF over SSH (RFC 6242).
//!
//! A session starts with the end-of-message delimiter and changes to chunks after the hellos when both
//! sides speak `:base:1.1` (RFC 6242 §4.1). [`Decoder`] takes bytes as they arrive, in pieces of any size,
//! and gives back whole messages; it never holds more than one message and its limit.

use memchr::memmem;

/// What ends a message before `:base:1.1` was agreed (RFC 6242 §4.3).
pub const END_OF_MESSAGE: &[u8] = b"]]>]]>";

/// The largest chunk a peer may send: 2³² − 1 bytes (RFC 6242 §4.2).
pub const MAX_CHUNK: u64 = 4_294_967_295;

/// How messages are told apart on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// A message ends at `]]>]]>` (RFC 6242 §4.3).
    EndOfMessage,
    /// A message is a run of sized chunks that ends at `\n##\n` (RFC 6242 §4.2).
    Chunked,
}

/// Why a byte stream is not a run of framed messages. `offset` counts bytes from the start of the stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// A chunk header does not follow the grammar.
    #[error(
        "broken chunk header at byte {offset}: expected {expected}, found {}; hint: the peer may still use \
         `]]>]]>` framing although it offered base:1.1",
        show_byte(*.found)
    )]
    BadChunk {
        /// Where the first wrong byte is.
        offset: u64,
        /// What the grammar asks for at this place.
        expected: &'static str,
        /// The byte that is there.
        found: u8,
    },
    /// A chunk size lies outside 1..4294967295.
    #[error("chunk size above {MAX_CHUNK} at byte {offset}; hint: the peer breaks RFC 6242 §4.2")]
    BadSize {
        /// Where the size stops being acceptable.
        offset: u64,
    },
    /// The message is longer than the reader is willing to hold.
    #[error(
        "message over the limit of {limit} bytes at byte {offset}; hint: raise the limit or narrow the filter"
    )]
    TooLarge {
        /// The limit in bytes of content.
        limit: usize,
        /// Where the limit was passed.
        offset: u64,
    },
    /// The stream ended inside a message.
    #[error(
        "stream ends at byte {offset} inside {place}, {received} bytes of the message had arrived; hint: the peer closed early, try again and look at its log"
    )]
    Truncated {
        /// How many bytes the stream had.
        offset: u64,
        /// The part of the frame that is cut.
        place: &'static str,
        /// How many bytes of content had arrived.
        received: usize,
    },
    /// A message to be sent cannot be framed: it is empty, or holds the delimiter.
    #[error("message cannot be sent: {why}")]
    Unframable {
        /// What is wrong with it.
        why: &'static str,
    },
}

fn show_byte(byte: u8) -> String {
    if byte.is_ascii_graphic() { format!("`{}`", char::from(byte)) } else { format!("0x{byte:02x}") }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Collecting until the delimiter.
    Delimited,
    /// The LF that opens a chunk header or the end of chunks.
    HeaderLf,
    /// The `#` after that LF.
    HeaderHash,
    /// The first digit of a size, or the second `#` of the end.
    HeaderFirst,
    /// More digits, or the LF that closes the header.
    Size(u64),
    /// So many bytes of the chunk are still to come.
    Body(u64),
    /// The LF that closes `\n##`.
    EndLf,
}

/// Cuts one direction of a stream into messages.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    framing: Framing,
    limit: usize,
    message: Vec<u8>,
    chunks: u64,
    offset: u64,
}

impl Decoder {
    /// A decoder at the start of a message; `limit` bounds the content of each message in bytes.
    pub fn new(framing: Framing, limit: usize) -> Decoder {
        let mut decoder =
            Decoder { state: State::Delimited, framing, limit, message: Vec::new(), chunks: 0, offset: 0 };
        decoder.restart();
        decoder
    }

    /// Changes the framing between two messages, as after the hellos.
    pub fn switch(&mut self, framing: Framing) {
        self.framing = framing;
        self.restart();
    }

    /// Changes the limit for messages to come.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Takes bytes until a message is whole or `input` is used up.
    ///
    /// Returns how many bytes were taken and the message if one was completed; the caller feeds the rest
    /// again. After an error the stream is out of step and the decoder must not be used again.
    pub fn feed(&mut self, input: &[u8]) -> Result<(usize, Option<Vec<u8>>), FramingError> {
        match self.framing {
            Framing::EndOfMessage => self.feed_delimited(input),
            Framing::Chunked => self.feed_chunked(input),
        }
    }

    /// Tells whether the stream may end here. White space between delimited messages is no message.
    pub fn finish(&self) -> Result<(), FramingError> {
        let place = match self.state {
            State::Delimited if self.message.iter().all(u8::is_ascii_whitespace) => return Ok(()),
            State::HeaderLf if self.chunks == 0 => return Ok(()),
            State::Delimited => "a message without its `]]>]]>`",
            State::Body(_) => "a chunk",
            State::HeaderLf | State::HeaderHash | State::HeaderFirst | State::Size(_) => "a chunk header",
            State::EndLf => "the end-of-chunks marker",
        };
        Err(FramingError::Truncated { offset: self.offset, place, received: self.message.len() })
    }

    fn restart(&mut self) {
        self.message = Vec::new();
        self.chunks = 0;
        self.state = match self.framing {
            Framing::EndOfMessage => State::Delimited,
            Framing::Chunked => State::HeaderLf,
        };
    }

    fn complete(&mut self) -> Vec<u8> {
        let message = std::mem::take(&mut self.message);
        self.restart();
        message
    }

    fn feed_delimited(&mut self, input: &[u8]) -> Result<(usize, Option<Vec<u8>>), FramingError> {
        let before = self.message.len();
        let full = self.limit.saturating_add(END_OF_MESSAGE.len());
        let room = full.saturating_sub(before);
        let (piece, beyond) = input.split_at(input.len().min(room));
        self.message.extend_from_slice(piece);
        // The delimiter may have begun in an earlier piece.
        let from = before.saturating_sub(END_OF_MESSAGE.len() - 1);
        let found = self.message.get(from..).and_then(|tail| memmem::find(tail, END_OF_MESSAGE));
        match found {
            Some(at) => {
                let end = from + at;
                let taken = end + END_OF_MESSAGE.len() - before;
                self.offset += taken as u64;
                self.message.truncate(end);
                Ok((taken, Some(self.complete())))
            }
            None => {
                self.offset += piece.len() as u64;
                if beyond.is_empty() && self.message.len() < full {
                    Ok((piece.len(), None))
                } else {
                    Err(FramingError::TooLarge { limit: self.limit, offset: self.offset })
                }
            }
        }
    }

    fn feed_chunked(&mut self, input: &[u8]) -> Result<(usize, Option<Vec<u8>>), FramingError> {
        let mut rest = input;
        while let Some((&byte, after)) = rest.split_first() {
            if let State::Body(left) = self.state {
                let take = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                let (piece, after) = rest.split_at(take);
                self.message.extend_from_slice(piece);
                self.offset += take as u64;
                let left = left - take as u64;
                self.state = if left == 0 { State::HeaderLf } else { State::Body(left) };
                rest = after;
                continue;
            }
            let ended = self.header_byte(byte)?;
            self.offset += 1;
            rest = after;
            if ended {
                return Ok((input.len() - rest.len(), Some(self.complete())));
            }
        }
        Ok((input.len(), None))
    }

    /// One byte of a chunk header or of the end of chunks; `true` when the message is whole.
    // RFC 6242 §4.2: Chunked-Message = 1*chunk end-of-chunks; chunk = LF HASH chunk-size LF 1*OCTET
    fn header_byte(&mut self, byte: u8) -> Result<bool, FramingError> {
        self.state = match (self.state, byte) {
            (State::HeaderLf, b'\n') => State::HeaderHash,
            (State::HeaderLf, _) => return self.bad_chunk("a line feed before `#`", byte),
            (State::HeaderHash, b'#') => State::HeaderFirst,
            (State::HeaderHash, _) => return self.bad_chunk("`#`", byte),
            (State::HeaderFirst, b'#') if self.chunks > 0 => State::EndLf,
            (State::HeaderFirst, b'1'..=b'9') => State::Size(u64::from(byte - b'0')),
            (State::HeaderFirst, _) if self.chunks > 0 => {
                return self.bad_chunk("a size from 1 or `#`", byte);
            }
            (State::HeaderFirst, _) => return self.bad_chunk("a size from 1", byte),
            (State::Size(size), b'0'..=b'9') => {
                let size = size * 10 + u64::from(byte - b'0');
                if size > MAX_CHUNK {
                    return Err(FramingError::BadSize { offset: self.offset });
                }
                State::Size(size)
            }
            (State::Size(size), b'\n') => {
                // Refused on the announcement, before a byte of it is held.
                if size > self.limit.saturating_sub(self.message.len()) as u64 {
                    return Err(FramingError::TooLarge { limit: self.limit, offset: self.offset });
                }
                self.chunks += 1;
                State::Body(size)
            }
            (State::Size(_), _) => return self.bad_chunk("a digit or a line feed", byte),
            (State::EndLf, b'\n') => return Ok(true),
            (State::EndLf, _) => return self.bad_chunk("a line feed after `##`", byte),
            (state @ (State::Delimited | State::Body(_)), _) => state,
        };
        Ok(false)
    }

    fn bad_chunk<T>(&self, expected: &'static str, found: u8) -> Result<T, FramingError> {
        Err(FramingError::BadChunk { offset: self.offset, expected, found })
    }
}

/// Frames one message. With chunks, it is cut into pieces of at most `chunk` bytes (0 counts as one piece).
///
/// # Errors
/// A chunked message must not be empty, a delimited one must not hold the delimiter.
pub fn encode(framing: Framing, message: &[u8], chunk: usize) -> Result<Vec<u8>, FramingError> {
    match framing {
        Framing::EndOfMessage => {
            if memmem::find(message, END_OF_MESSAGE).is_some() {
                return Err(FramingError::Unframable { why: "it holds the end-of-message delimiter" });
            }
            Ok([message, END_OF_MESSAGE].concat())
        }
        Framing::Chunked => {
            if message.is_empty() {
                return Err(FramingError::Unframable { why: "a chunked message needs at least one byte" });
            }
            let largest = usize::try_from(MAX_CHUNK).unwrap_or(usize::MAX);
            let size = if chunk == 0 { message.len() } else { chunk }.min(largest);
            let mut framed = Vec::with_capacity(message.len() + 32);
            for piece in message.chunks(size) {
                framed.extend_from_slice(format!("\n#{}\n", piece.len()).as_bytes());
                framed.extend_from_slice(piece);
            }
            framed.extend_from_slice(b"\n##\n");
            Ok(framed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `pieces` one after the other and collects whole messages.
    fn decode_all(decoder: &mut Decoder, pieces: &[&[u8]]) -> Result<Vec<Vec<u8>>, FramingError> {
        let mut messages = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let (taken, message) = decoder.feed(rest)?;
                messages.extend(message);
                rest = &rest[taken..];
            }
        }
        Ok(messages)
    }

    fn chunked(bytes: &[u8]) -> Result<Vec<Vec<u8>>, FramingError> {
        decode_all(&mut Decoder::new(Framing::Chunked, 1000), &[bytes])
    }

    #[test]
    fn example_of_rfc_6242_is_read() {
        let stream = b"\n#4\n<rpc\n#18\n message-id=\"102\"\n\n#79\n     xmlns=\"urn:ietf:params:xml:ns:netconf:base:1.0\">\n  <close-session/>\n</rpc>\n##\n";
        let messages = chunked(stream).unwrap();
        assert_eq!(messages.len(), 1);
        assert!(messages[0].starts_with(b"<rpc message-id=\"102\"\n"));
        assert!(messages[0].ends_with(b"</rpc>"));
    }

    #[test]
    fn broken_chunk_headers_are_refused_with_their_place() {
        for (bytes, offset) in [
            (&b"#4\nabcd"[..], 0),
            (b"\n#0\n", 2),
            (b"\n#04\nabcd", 2),
            (b"\n##\n", 2),
            (b"\n#-1\n", 2),
            (b"\n#4 \nabcd", 3),
            (b"\n#4\r\nabcd", 3),
            (b"\n#4\nabcdX", 8),
            (b"\n#4\nabcd\n##X", 11),
            (b"\n#4\nabcd\n#x", 10),
            (b"<rpc-reply/>", 0),
        ] {
            match chunked(bytes) {
                Err(FramingError::BadChunk { offset: at, .. }) => assert_eq!(at, offset, "{bytes:?}"),
                other => panic!("{bytes:?} gave {other:?}"),
            }
        }
    }

    #[test]
    fn sizes_over_the_standard_are_refused_and_over_the_limit_too() {
        let mut decoder = Decoder::new(Framing::Chunked, usize::MAX);
        assert!(matches!(decoder.feed(b"\n#4294967296\n"), Err(FramingError::BadSize { offset: 11 })));
        let mut decoder = Decoder::new(Framing::Chunked, usize::MAX);
        assert_eq!(decoder.feed(b"\n#4294967295\n").unwrap(), (13, None));
        let mut decoder = Decoder::new(Framing::Chunked, 10);
        assert!(matches!(decoder.feed(b"\n#11\n"), Err(FramingError::TooLarge { limit: 10, offset: 4 })));
        let mut decoder = Decoder::new(Framing::Chunked, 10);
        assert!(matches!(decoder.feed(b"\n#6\nabcdef\n#5\n"), Err(FramingError::TooLarge { .. })));
    }

    #[test]
    fn delimited_message_of_exactly_the_limit_passes_and_one_more_is_refused() {
        let mut decoder = Decoder::new(Framing::EndOfMessage, 4);
        assert_eq!(decoder.feed(b"abcd]]>]]>").unwrap(), (10, Some(b"abcd".to_vec())));
        let mut decoder = Decoder::new(Framing::EndOfMessage, 4);
        assert!(matches!(decoder.feed(b"abcde]]>]]>"), Err(FramingError::TooLarge { limit: 4, .. })));
        let mut decoder = Decoder::new(Framing::EndOfMessage, 4);
        assert_eq!(decoder.feed(b"abcd]]").unwrap(), (6, None));
        assert!(decoder.feed(b"abcdefgh").is_err());
    }

    #[test]
    fn bytes_after_the_hello_are_left_for_the_new_framing() {
        let mut decoder = Decoder::new(Framing::EndOfMessage, 100);
        let stream = b"<hello/>]]>]]>\n#2\nok\n##\n";
        let (taken, hello) = decoder.feed(stream).unwrap();
        assert_eq!(hello.unwrap(), b"<hello/>");
        decoder.switch(Framing::Chunked);
        let (more, reply) = decoder.feed(&stream[taken..]).unwrap();
        assert_eq!((taken + more, reply.unwrap()), (stream.len(), b"ok".to_vec()));
        assert_eq!(decoder.finish(), Ok(()));
    }

    #[test]
    fn end_of_stream_inside_a_message_names_the_place() {
        for (framing, bytes, part) in [
            (Framing::Chunked, &b"\n#9\nabc"[..], "a chunk"),
            (Framing::Chunked, b"\n#3\nabc", "a chunk header"),
            (Framing::Chunked, b"\n#3\nabc\n##", "the end-of-chunks marker"),
            (Framing::EndOfMessage, b"<rpc-reply", "a message without its `]]>]]>`"),
        ] {
            let mut decoder = Decoder::new(framing, 100);
            decoder.feed(bytes).unwrap();
            match decoder.finish() {
                Err(FramingError::Truncated { place, offset, .. }) => {
                    assert_eq!((place, offset), (part, bytes.len() as u64));
                }
                other => panic!("{bytes:?} gave {other:?}"),
            }
        }
        let mut decoder = Decoder::new(Framing::EndOfMessage, 100);
        decoder.feed(b"<a/>]]>]]>\n").unwrap();
        assert_eq!(decoder.finish(), Ok(()));
    }

    #[test]
    fn what_cannot_be_framed_is_not_sent() {
        assert!(encode(Framing::EndOfMessage, b"a]]>]]>b", 0).is_err());
        assert!(encode(Framing::Chunked, b"", 0).is_err());
    }

    proptest! {
        #[test]
        fn any_split_of_framed_messages_decodes_equally(
            messages in prop::collection::vec(prop::collection::vec(prop::num::u8::ANY, 1..60), 1..5),
            chunk in 0usize..20,
            chunks in any::<bool>(),
            cuts in prop::collection::vec(0usize..400, 0..12),
        ) {
            let framing = if chunks { Framing::Chunked } else { Framing::EndOfMessage };
            // The delimiter must be the first one: `]` at a message's end would begin it early.
            let messages: Vec<Vec<u8>> = messages
                .into_iter()
                .map(|m| m.into_iter().map(|b| if !chunks && b == b']' { b'.' } else { b }).collect())
                .collect();
            let stream: Vec<u8> =
                messages.iter().flat_map(|m| encode(framing, m, chunk).unwrap()).collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c % (stream.len() + 1)).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &stream[w[0]..w[1]]).collect();
            let mut decoder = Decoder::new(framing, 60);
            prop_assert_eq!(decode_all(&mut decoder, &pieces).unwrap(), messages);
            prop_assert_eq!(decoder.finish(), Ok(()));
        }

        #[test]
        fn arbitrary_bytes_never_panic_nor_pass_the_limit(
            bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'#'), Just(b'1'), Just(b']'), Just(b'>'), any::<u8>()], 0..200),
            limit in 0usize..50,
            chunks in any::<bool>(),
        ) {
            let framing = if chunks { Framing::Chunked } else { Framing::EndOfMessage };
            let mut decoder = Decoder::new(framing, limit);
            if let Ok(messages) = decode_all(&mut decoder, &[&bytes]) {
                prop_assert!(messages.iter().all(|m| m.len() <= limit));
            }
            prop_assert!(decoder.message.len() <= limit + END_OF_MESSAGE.len());
        }
    }
}
