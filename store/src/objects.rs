//! Objects by digest, each version as zstd over the one before: a changed leaf costs tens of bytes, not the object.

use std::collections::BTreeMap;

use model::{Digest, Dn, Object, Value};

use crate::columns::{Columns as _, insert_many, int};
use crate::database::{Link, Statement};
use crate::error::{Result, StoreError};

/// Longest chain of bases; bounds what reading one object costs.
const MAX_DEPTH: u64 = 16;
/// Largest object that is read back. Far above what a reader lets through; keeps a damaged length harmless.
const MAX_LENGTH: usize = 64 << 20;
const LEVEL: i32 = 3;

const PLAIN: i64 = 0;
const ZSTD: i64 = 1;
const OVER_BASE: i64 = 2;

/// Wraps a query of object ids (`id`) so that it yields those objects with everything they are encoded over, in
/// an order in which each comes after its base.
macro_rules! with_bases {
    ($start:literal) => {
        concat!(
            "WITH RECURSIVE need (id) AS (",
            $start,
            " UNION SELECT o.base FROM objects o JOIN need ON need.id = o.id WHERE o.base IS NOT NULL) \
             SELECT o.*, n.dn FROM need JOIN objects o ON o.id = need.id JOIN names n ON n.id = o.name ORDER BY o.id"
        )
    };
}
pub(crate) use with_bases;

/// Objects read back, by their row.
#[derive(Debug, Default)]
pub(crate) struct Objects(BTreeMap<i64, Decoded>);

#[derive(Debug)]
struct Decoded {
    dn: Dn,
    digest: Digest,
    depth: u64,
    /// The JSON, or why it cannot be had.
    plain: std::result::Result<Vec<u8>, String>,
}

/// An object to be stored.
pub(crate) struct NewObject {
    digest: Digest,
    name: i64,
    encoding: i64,
    base: Option<i64>,
    depth: u64,
    length: usize,
    bytes: Vec<u8>,
}

impl Objects {
    /// Runs a statement made by [`with_bases`].
    pub async fn load(link: &mut Link, statement: Statement<'_>) -> Result<Objects> {
        let mut objects = Objects::default();
        let mut unpacker = Unpacker::default();
        for row in link.rows(statement).await? {
            let base = row.opt_id("base")?.map(|base| objects.plain(base));
            let (encoding, length) = (row.id("encoding")?, row.number("length")?);
            let plain = unpacker.decode(encoding, length, &row.blob("bytes")?, base);
            let decoded = Decoded {
                dn: row.dn("dn")?,
                digest: row.digest("digest")?,
                depth: row.number("depth")?,
                plain,
            };
            objects.0.insert(row.id("id")?, decoded);
        }
        Ok(objects)
    }

    fn plain(&self, id: i64) -> std::result::Result<&[u8], String> {
        let decoded = self.0.get(&id).ok_or_else(|| format!("its base {id} is missing"))?;
        decoded.plain.as_deref().map_err(|why| format!("its base {id} cannot be read: {why}"))
    }

    /// The object, hashed again.
    pub fn object(&self, id: i64) -> Result<Object> {
        let decoded =
            self.0.get(&id).ok_or_else(|| StoreError::damaged("objects", id, "the row is missing"))?;
        rebuild(decoded).map_err(|why| StoreError::damaged("objects", decoded.digest, why))
    }

    /// What is wrong with each object that cannot be read back as what its digest names.
    pub fn faults(&self) -> impl Iterator<Item = (Digest, String)> {
        self.0.values().filter_map(|decoded| Some((decoded.digest, rebuild(decoded).err()?)))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

fn rebuild(decoded: &Decoded) -> std::result::Result<Object, String> {
    let plain = decoded.plain.as_ref().map_err(Clone::clone)?;
    let attributes: Vec<(String, Value)> =
        serde_json::from_slice(plain).map_err(|e| format!("not an object's attributes: {e}"))?;
    let object = Object::new(decoded.dn.clone(), attributes, Vec::new());
    if *object.digest() == decoded.digest { Ok(object) } else { Err("the object has another digest".into()) }
}

/// Decompresses one object after the other; making a decompressor costs more than most objects do.
#[derive(Default)]
struct Unpacker {
    over_base: Option<zstd::bulk::Decompressor<'static>>,
    alone: Option<zstd::bulk::Decompressor<'static>>,
}

impl Unpacker {
    fn decode(
        &mut self,
        encoding: i64,
        length: u64,
        bytes: &[u8],
        base: Option<std::result::Result<&[u8], String>>,
    ) -> std::result::Result<Vec<u8>, String> {
        let length = usize::try_from(length).ok().filter(|l| *l <= MAX_LENGTH);
        let length = length.ok_or("its stored length is past any object's")?;
        let unpacked = match (encoding, base) {
            (PLAIN, _) => return Ok(bytes.to_vec()),
            (ZSTD, _) => ready(&mut self.alone).and_then(|zstd| zstd.decompress(bytes, length)),
            (OVER_BASE, Some(base)) => {
                let base = base?;
                ready(&mut self.over_base).and_then(|zstd| {
                    zstd.set_dictionary(base)?;
                    zstd.decompress(bytes, length)
                })
            }
            _ => return Err(format!("encoding {encoding} is unknown")),
        };
        unpacked.map_err(|e| e.to_string())
    }
}

fn ready<'a>(
    made: &'a mut Option<zstd::bulk::Decompressor<'static>>,
) -> std::io::Result<&'a mut zstd::bulk::Decompressor<'static>> {
    match made {
        Some(made) => Ok(made),
        none => Ok(none.insert(zstd::bulk::Decompressor::new()?)),
    }
}

/// Compresses one object after the other, for the same reason.
pub(crate) struct Packer(zstd::bulk::Compressor<'static>);

impl Packer {
    pub fn new() -> Result<Packer> {
        let made = zstd::bulk::Compressor::new(LEVEL);
        made.map(Packer).map_err(|e| StoreError::damaged("objects", "zstd", format!("cannot be set up: {e}")))
    }

    fn squeeze(&mut self, plain: &[u8], dictionary: &[u8], object: &Object) -> Result<Vec<u8>> {
        let ready = self.0.set_dictionary(LEVEL, dictionary);
        ready.and_then(|()| self.0.compress(plain)).map_err(|e| {
            StoreError::damaged("objects", object.digest(), format!("cannot be compressed: {e}"))
        })
    }

    /// Encodes `object` over the object `base` of `known` where that is small, else as it is or compressed.
    pub fn encode(
        &mut self,
        name: i64,
        object: &Object,
        known: &Objects,
        base: Option<i64>,
    ) -> Result<NewObject> {
        let plain = serde_json::to_vec(object.attributes())
            .map_err(|e| StoreError::damaged("objects", object.digest(), e.to_string()))?;
        let (digest, length) = (*object.digest(), plain.len());
        let candidate = base.and_then(|id| known.0.get(&id).map(|decoded| (id, decoded)));
        let mut over = None;
        if let Some((id, decoded)) = candidate
            && decoded.depth < MAX_DEPTH
            && let Ok(dictionary) = &decoded.plain
        {
            over = Some((id, decoded.depth + 1, self.squeeze(&plain, dictionary, object)?));
        }
        // A version that differs a little is this small over the one before; then nothing else comes near.
        let small = over.as_ref().is_some_and(|(_, _, bytes)| bytes.len() < plain.len() / 4);
        let full = if small { None } else { Some(self.squeeze(&plain, &[], object)?) };
        let (encoding, bytes) = match full {
            Some(full) if full.len() < plain.len() => (ZSTD, full),
            _ => (PLAIN, plain),
        };
        Ok(match over {
            Some((id, depth, over)) if over.len() < bytes.len() => {
                NewObject { digest, name, encoding: OVER_BASE, base: Some(id), depth, length, bytes: over }
            }
            _ => NewObject { digest, name, encoding, base: None, depth: 0, length, bytes },
        })
    }
}

/// Stores objects; those whose digest is known already are left as they are.
pub(crate) async fn put(link: &mut Link, objects: &[NewObject]) -> Result<()> {
    let mut rows = Vec::with_capacity(objects.len());
    for object in objects {
        rows.push((object, int(object.depth)?, int(object.length as u64)?));
    }
    let head = "INSERT INTO objects (digest, name, encoding, base, depth, length, bytes) ";
    let tail = " ON CONFLICT (digest) DO NOTHING";
    insert_many(link, head, tail, &rows, |tuple, (object, depth, length)| {
        tuple.push_bind(object.digest.0.to_vec()).push_bind(object.name).push_bind(object.encoding);
        tuple.push_bind(object.base).push_bind(*depth).push_bind(*length).push_bind(object.bytes.clone());
    })
    .await
    .map(drop)
}
