//! Objects by digest. A version is stored as what it differs by from its root, the last one that was stored whole: it costs what
//! changed since then and not the object, and whoever writes one, or reads one of this program's, needs one other row.

use std::collections::BTreeMap;

use model::{Digest, Dn, Object, Value};

use crate::columns::{Columns as _, insert_many, int, json};
use crate::database::{Link, Statement};
use crate::delta;
use crate::error::{Result, StoreError};

/// Largest object that is read back. Far above what a reader lets through; keeps a damaged length harmless.
const MAX_LENGTH: usize = 64 << 20;
const LEVEL: i32 = 3;

const PLAIN: i64 = 0;
const ZSTD: i64 = 1;
const OVER_BASE: i64 = 2;

/// Between an object that stands alone and one over it. Earlier versions of this program stored objects over such ones again, up
/// to sixteen times; those are read, and nothing new is stored over them.
const OVER_ROOT: u64 = 1;

/// A version that takes more than one byte in so many over its root becomes a root.
const SMALL: usize = 16;

/// Whether a version is stored whole whatever it differs by, as one in sixteen is: a root that is damaged takes those over it
/// with it, and so they are few.
fn is_due(name: i64, round: i64) -> bool {
    let mixed =
        name.wrapping_mul(0x1e37_79b9_7f4a_7c15).wrapping_add(round).wrapping_mul(0x14d0_49bb_1331_11eb);
    mixed as u64 >> 60 == 0
}

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
    base: Option<i64>,
    depth: i64,
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
            let (base, depth) = (row.opt_id("base")?, row.id("depth")?);
            let over = base.map(|base| objects.plain(base));
            let (encoding, length) = (row.id("encoding")?, row.number("length")?);
            let plain = unpacker.decode(encoding, length, &row.blob("bytes")?, over);
            let decoded = Decoded { dn: row.dn("dn")?, digest: row.digest("digest")?, base, depth, plain };
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

    /// What is wrong with each object that cannot be read back as what its digest names, or says another depth than it has.
    pub fn faults(&self) -> impl Iterator<Item = (Digest, String)> {
        let depth = |decoded: &Decoded| match decoded.base {
            Some(base) => self.0.get(&base).and_then(|base| base.depth.checked_add(1)),
            None => Some(0),
        };
        self.0.values().filter_map(move |decoded| {
            let why = match rebuild(decoded) {
                Err(why) => why,
                Ok(_) if depth(decoded) == Some(decoded.depth) => return None,
                Ok(_) => "it is over as many others as its depth does not say".to_owned(),
            };
            Some((decoded.digest, why))
        })
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
            (OVER_BASE, Some(base)) if delta::is_one(bytes) => {
                return delta::decode(base?, bytes, length).map_err(str::to_owned);
            }
            // As earlier versions of this program wrote them.
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

    fn squeeze(&mut self, plain: &[u8], object: &Object) -> Result<Vec<u8>> {
        self.0.compress(plain).map_err(|e| {
            StoreError::damaged("objects", object.digest(), format!("cannot be compressed: {e}"))
        })
    }

    /// Encodes `object` over `root`, one of `roots`, where that is small, else as it is or compressed.
    pub fn encode(
        &mut self,
        (name, round): (i64, i64),
        object: &Object,
        roots: &Roots,
        root: Option<i64>,
    ) -> Result<NewObject> {
        let plain = serde_json::to_vec(object.attributes())
            .map_err(|e| StoreError::damaged("objects", object.digest(), e.to_string()))?;
        let (digest, length) = (*object.digest(), plain.len());
        let root = root.filter(|_| !is_due(name, round)).and_then(|id| Some((id, roots.0.get(&id)?)));
        let over = root.and_then(|(id, root)| Some((id, delta::encode(root, &plain, length / SMALL)?)));
        if let Some((id, bytes)) = over {
            let (encoding, base, depth) = (OVER_BASE, Some(id), OVER_ROOT);
            return Ok(NewObject { digest, name, encoding, base, depth, length, bytes });
        }
        let squeezed = self.squeeze(&plain, object)?;
        let (encoding, bytes) = if squeezed.len() < length { (ZSTD, squeezed) } else { (PLAIN, plain) };
        Ok(NewObject { digest, name, encoding, base: None, depth: 0, length, bytes })
    }
}

/// Objects that stand alone, to be stored over: the JSON of each by its row.
#[derive(Debug, Default)]
pub(crate) struct Roots(BTreeMap<i64, Vec<u8>>);

/// The row that a new version of an object is stored over, by the row, the base and the depth of the standing one.
pub(crate) fn root_of(id: i64, base: Option<i64>, depth: i64) -> Option<i64> {
    match depth {
        0 => Some(id),
        1 => base,
        _ => None,
    }
}

impl Roots {
    /// Those that can be read; a version of another one is stored whole.
    pub async fn load(link: &mut Link, ids: &[i64]) -> Result<Roots> {
        let mut roots = Roots::default();
        if ids.is_empty() {
            return Ok(roots);
        }
        let mut unpacker = Unpacker::default();
        let query = "SELECT o.id, o.encoding, o.length, o.bytes FROM json_each(?) j \
                     CROSS JOIN objects o ON o.id = j.value WHERE o.depth = 0";
        for row in link.rows(sqlx::query(query).bind(json(ids)?)).await? {
            let (encoding, length) = (row.id("encoding")?, row.number("length")?);
            if let Ok(plain) = unpacker.decode(encoding, length, &row.blob("bytes")?, None) {
                roots.0.insert(row.id("id")?, plain);
            }
        }
        Ok(roots)
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
