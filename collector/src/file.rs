//! Configuration in files: what kind of file it is, by content and not by name, and its reading.

use model::Snapshot;

use crate::reader::{ReadContext, ReadError, RootElement, read_json, read_xml, root_element};

/// The kinds of file this version reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A NETCONF reply, `<data>`, `<config>` or bare configuration in XML.
    NetconfXml,
    /// Configuration in JSON (RFC 7951).
    Rfc7951Json,
}

/// Why a file gives no configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Nothing in it.
    #[error("the file is empty; hint: the transfer may have failed")]
    Empty,
    /// A format that is known and not read.
    #[error("this is {format}, which is not read by this version; hint: NETCONF XML and RFC 7951 JSON are")]
    NotReadYet {
        /// Its name.
        format: &'static str,
    },
    /// Nothing known.
    #[error("neither XML nor JSON; hint: NETCONF XML and RFC 7951 JSON are read")]
    Unknown,
    /// Read, and found broken.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Tells what kind of file `bytes` are.
///
/// # Errors
/// [`FileError::NotReadYet`] names formats that are recognised only; a broken XML prolog is
/// [`FileError::Read`].
pub fn sniff(bytes: &[u8]) -> Result<Kind, FileError> {
    let content = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    if let Some(format) = packed(bytes) {
        return Err(FileError::NotReadYet { format });
    }
    match content.first() {
        None => Err(FileError::Empty),
        Some(b'{' | b'[') => Ok(Kind::Rfc7951Json),
        Some(b'<') => sniff_xml(bytes),
        // The reader says best what is wrong with UTF-16.
        Some(0xff | 0xfe) => Ok(Kind::NetconfXml),
        Some(_) => Err(FileError::Unknown),
    }
}

/// Reads a file of either kind.
///
/// # Errors
/// [`FileError`].
pub fn read_file_bytes(bytes: &[u8], context: &ReadContext<'_>) -> Result<Snapshot, FileError> {
    match sniff(bytes)? {
        Kind::NetconfXml => Ok(read_xml(bytes, context)?),
        Kind::Rfc7951Json => Ok(read_json(bytes, context)?),
    }
}

fn packed(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x1f, 0x8b, ..] => Some("a gzip archive"),
        [b'P', b'K', 3 | 5, 4 | 6, ..] => Some("a zip archive (or a spreadsheet)"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("a zstd archive"),
        _ => None,
    }
}

fn sniff_xml(bytes: &[u8]) -> Result<Kind, FileError> {
    let root = match root_element(bytes) {
        Ok(root) => root,
        // RAML begins with a DOCTYPE, which is refused before its root shows.
        Err(_) if names_raml(bytes) => return Err(FileError::NotReadYet { format: RAML }),
        Err(error) => return Err(FileError::Read(error)),
    };
    match foreign(&root) {
        Some(format) => Err(FileError::NotReadYet { format }),
        None => Ok(Kind::NetconfXml),
    }
}

const RAML: &str = "a Nokia RAML 2.x plan";

/// By namespace first: two formats share the root `bulkCmConfigDataFile`.
fn foreign(root: &RootElement) -> Option<&'static str> {
    match (root.local.as_str(), root.namespace.as_str()) {
        ("bulkCmConfigDataFile", "") => Some("a Huawei GExport file"),
        ("bulkCmConfigDataFile", _) => Some("a 3GPP bulk CM file (TS 32.616)"),
        ("raml", _) => Some(RAML),
        ("configDataFile" | "CfgSynFile", _) => Some("a Huawei configuration file"),
        ("measCollecFile" | "measDataFile", _) => {
            Some("a 3GPP performance file, which holds no configuration")
        }
        _ => None,
    }
}

fn names_raml(bytes: &[u8]) -> bool {
    let head = bytes.get(..bytes.len().min(1024)).unwrap_or_default();
    memchr::memmem::find(head, b"<!DOCTYPE raml").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_content() {
        assert_eq!(sniff(b"\xef\xbb\xbf <?xml version='1.0'?><data/>"), Ok(Kind::NetconfXml));
        assert_eq!(sniff(b" {\"a:b\":1}"), Ok(Kind::Rfc7951Json));
        for (bytes, format) in [
            (&b"<bulkCmConfigDataFile xmlns='http://www.3gpp.org/ftp/specs/archive/32_series/32.615#configData'/>"[..], "bulk CM"),
            (b"<bulkCmConfigDataFile><class/></bulkCmConfigDataFile>", "GExport"),
            (b"<!DOCTYPE raml SYSTEM 'raml20.dtd'><raml version='2.0' xmlns='raml20.xsd'/>", "RAML"),
            (b"<raml version='2.1' xmlns='raml21.xsd'/>", "RAML"),
            (b"\x1f\x8b\x08", "gzip"),
        ] {
            let error = sniff(bytes).unwrap_err();
            assert!(matches!(error, FileError::NotReadYet { .. }));
            let message = error.to_string();
            assert!(message.contains(format) && message.contains("not read by this version"), "{message}");
        }
        assert_eq!(sniff(b" \n"), Err(FileError::Empty));
        assert_eq!(sniff(b"LST CELL:;"), Err(FileError::Unknown));
        assert!(matches!(sniff(b"<!DOCTYPE a><a/>"), Err(FileError::Read(_))));
    }
}
