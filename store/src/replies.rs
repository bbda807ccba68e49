//! Raw replies: the bytes that snapshots were read from. A reply is nearly what the station's last one was, so it is
//! stored as what it differs by where the last one is at hand: as copies from it where the differences are few, else
//! compressed over it.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Digest, Dn};
use sqlx::sqlite::SqliteRow;
use zstd::zstd_safe::{CCtx, CParameter, DCtx, compress_bound, get_error_name};

use crate::Store;
use crate::columns::{Columns as _, Hex, insert_many, int, json};
use crate::database::Link;
use crate::delta;
use crate::error::{Result, StoreError};
use crate::reads::Read;
use crate::snapshots::NEWEST;

/// A station's raw reply in somebody's memory.
#[derive(Debug, Clone)]
pub struct HeldReply {
    pub bytes: Arc<Vec<u8>>,
    /// BLAKE3 of the bytes.
    pub digest: Digest,
}

/// Level of compression: written once and read almost never. Twice as fast as the usual one, and a tenth larger.
const LEVEL: i32 = 1;

/// Longest chain of replies over replies: bounds what reading one costs, and how many are kept for the newest.
const MAX_DEPTH: u64 = 7;

/// Largest reply that is read back; the collector's own limit is lower.
const MAX_LENGTH: u64 = 512 << 20;

/// A reply that takes more than one byte in so many over the last one may take fewer by itself.
const SMALL: usize = 32;

/// Largest window, as the power of two, in which the last reply is looked for: a decoder's usual limit.
const MAX_WINDOW: u32 = 27;

impl Store {
    /// The raw reply of the snapshot that stood in `round`. `None` if it is no longer kept (see
    /// [`crate::StoreConfig::keep_raw`]).
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if it, or one that it is stored over, is not what was written.
    pub async fn raw_reply(&self, element: &Dn, round: u64) -> Result<Option<Vec<u8>>> {
        let mut link = self.reader().await?;
        let query = "SELECT s.station, s.round FROM stations t JOIN snapshots s ON s.station = t.id \
                     WHERE t.element = ? AND s.round <= ? ORDER BY s.round DESC LIMIT 1";
        let Some(row) = link.row(sqlx::query(query).bind(element.as_str()).bind(int(round)?)).await? else {
            return Ok(None);
        };
        let (station, standing) = (row.id("station")?, row.id("round")?);
        // From the one that stands alone.
        let query = "SELECT * FROM raw_replies WHERE station = ?1 AND round <= ?2 AND round >= \
                     (SELECT max(round) FROM raw_replies WHERE station = ?1 AND round <= ?2 AND depth = 0) ORDER BY round";
        let rows = link.rows(sqlx::query(query).bind(station).bind(standing)).await?;
        let Some(last) = rows.last() else { return Ok(None) };
        if last.id("round")? != standing {
            return Ok(None);
        }
        let mut chain = Chain::default();
        for row in &rows {
            chain.decode(row)?;
        }
        chain.into_last().map(Some).map_err(|why| StoreError::damaged("raw_replies", element, why))
    }

    /// The raw reply of a station's newest snapshot.
    pub async fn newest_reply(&self, element: &Dn) -> Result<Option<Vec<u8>>> {
        self.raw_reply(element, NEWEST).await
    }
}

/// Decodes the replies of one station in the order of their rounds.
#[derive(Default)]
pub(crate) struct Chain {
    depth: u64,
    last: Option<std::result::Result<Vec<u8>, String>>,
}

impl Chain {
    /// What is wrong with the next one, if anything is.
    pub fn decode(&mut self, row: &SqliteRow) -> Result<Option<String>> {
        let (length, bytes, digest) = (row.number("length")?, row.blob("bytes")?, row.digest("digest")?);
        let depth = row.number("depth")?;
        let over = match self.last.take() {
            _ if depth == 0 => Ok(Vec::new()),
            Some(last) if depth == self.depth + 1 => last.map_err(|why| format!("the one before it: {why}")),
            _ => Err("the reply that it is stored over is missing".to_owned()),
        };
        self.depth = depth;
        let decoded = over.and_then(|over| unpack(&bytes, &over, length)).and_then(|raw| {
            if Digest::of(&raw) == digest { Ok(raw) } else { Err("the reply has another digest".to_owned()) }
        });
        let why = decoded.as_ref().err().cloned();
        self.last = Some(decoded);
        Ok(why)
    }

    fn into_last(self) -> std::result::Result<Vec<u8>, String> {
        self.last.unwrap_or_else(|| Err("it is missing".to_owned()))
    }
}

fn unpack(bytes: &[u8], over: &[u8], length: u64) -> std::result::Result<Vec<u8>, String> {
    let length = usize::try_from(length).ok().filter(|_| length <= MAX_LENGTH);
    let length = length.ok_or("its stored length is past any reply's")?;
    if delta::is_one(bytes) {
        return delta::decode(over, bytes, length).map_err(str::to_owned);
    }
    let mut raw = Vec::with_capacity(length);
    let mut zstd = DCtx::create();
    let unpacked = zstd.ref_prefix(over).and_then(|_| zstd.decompress(&mut raw, bytes));
    unpacked.map_err(|code| format!("cannot be decompressed: {}", get_error_name(code)))?;
    Ok(raw)
}

/// Packs one reply after the other.
struct Packer<'a> {
    zstd: CCtx<'a>,
    scratch: Vec<u8>,
}

impl<'a> Packer<'a> {
    fn new() -> Packer<'a> {
        Packer { zstd: CCtx::create(), scratch: Vec::new() }
    }

    /// `raw` over `last` where that is small, else by itself, and whether it is over it.
    fn pack(&mut self, raw: &[u8], last: Option<&'a [u8]>) -> std::result::Result<(bool, Vec<u8>), String> {
        // Before zstd would have learnt the last reply, its few differences are found.
        if let Some(copies) = last.and_then(|last| delta::encode(last, raw, raw.len() / SMALL)) {
            return Ok((true, copies));
        }
        let say = |code| format!("cannot be compressed: {}", get_error_name(code));
        let over = last.map(|last| self.squeeze(raw, last)).transpose().map_err(say)?;
        match over {
            Some(over) if over.len() <= raw.len() / SMALL => Ok((true, over)),
            over => {
                let alone = self.squeeze(raw, &[]).map_err(say)?;
                let better = over.filter(|over| over.len() < alone.len() / 2);
                Ok(better.map_or((false, alone), |over| (true, over)))
            }
        }
    }

    fn squeeze(&mut self, raw: &[u8], over: &'a [u8]) -> std::result::Result<Vec<u8>, usize> {
        let zstd = &mut self.zstd;
        zstd.set_parameter(CParameter::CompressionLevel(LEVEL))?;
        // By itself it would see no further back than the level does, and a large reply not the one before it.
        let both = (raw.len() + over.len()).checked_ilog2().map_or(0, |log| log + 1);
        let window = if over.is_empty() { 0 } else { both.clamp(10, MAX_WINDOW) };
        zstd.set_parameter(CParameter::WindowLog(window))?;
        zstd.ref_prefix(over)?;
        self.scratch.clear();
        self.scratch.reserve(compress_bound(raw.len()));
        zstd.compress2(&mut self.scratch, raw)?;
        Ok(self.scratch.clone())
    }
}

/// What a reply may be stored over: the newest of its station.
struct Newest {
    digest: Digest,
    depth: u64,
}

async fn newest(link: &mut Link, reads: &[Read<'_>]) -> Result<BTreeMap<i64, Newest>> {
    let held: Vec<i64> = reads.iter().filter(|(_, read)| read.held.is_some()).map(|(id, _)| *id).collect();
    if held.is_empty() {
        return Ok(BTreeMap::new());
    }
    let query = "SELECT json_group_array(json_array(r.station, lower(hex(r.digest)), r.depth)) AS packed \
                 FROM json_each(?) j CROSS JOIN raw_replies r ON r.station = j.value \
                 AND r.round = (SELECT max(round) FROM raw_replies WHERE station = j.value)";
    let rows: Vec<(i64, Hex, u64)> = link.packed(sqlx::query(query).bind(json(&held)?)).await?;
    Ok(rows.into_iter().map(|(station, Hex(digest), depth)| (station, Newest { digest, depth })).collect())
}

/// Writes the replies of a round, and drops those of before that nothing needs any more.
pub(crate) async fn write(link: &mut Link, round: i64, reads: &[Read<'_>], keep: u32) -> Result<()> {
    let newest = newest(link, reads).await?;
    let mut packer = Packer::new();
    let mut rows = Vec::with_capacity(reads.len());
    for (station, read) in reads {
        let before = newest.get(station).filter(|newest| newest.depth < MAX_DEPTH);
        let held =
            read.held.as_ref().filter(|held| before.is_some_and(|newest| newest.digest == held.digest));
        let digest = read.raw_digest;
        let packed = packer.pack(&read.raw, held.map(|held| held.bytes.as_slice()));
        let (over, bytes) = packed.map_err(|why| StoreError::damaged("raw_replies", digest, why))?;
        let depth = before.filter(|_| over).map_or(0, |newest| newest.depth + 1);
        rows.push((*station, digest, int(read.raw.len() as u64)?, int(depth)?, bytes));
    }
    let head = "INSERT INTO raw_replies (station, round, digest, length, depth, bytes) ";
    insert_many(link, head, "", &rows, |tuple, (station, digest, length, depth, bytes)| {
        tuple.push_bind(*station).push_bind(round).push_bind(digest.0.to_vec());
        tuple.push_bind(*length).push_bind(*depth).push_bind(bytes.clone());
    })
    .await?;
    let stations: Vec<i64> = rows.iter().map(|(station, ..)| *station).collect();
    prune(link, &stations, keep).await
}

/// Keeps the newest of each station, and what they are stored over.
async fn prune(link: &mut Link, stations: &[i64], keep: u32) -> Result<()> {
    let prune = "DELETE FROM raw_replies WHERE rowid IN (SELECT old.rowid \
                 FROM json_each(?1) j CROSS JOIN raw_replies old ON old.station = j.value AND old.round < \
                 (SELECT max(alone.round) FROM raw_replies alone WHERE alone.station = j.value AND alone.depth = 0 \
                 AND alone.round <= (SELECT kept.round FROM raw_replies kept WHERE kept.station = j.value \
                 ORDER BY kept.round DESC LIMIT 1 OFFSET ?2)))";
    let others = i64::from(keep.max(1)) - 1;
    link.execute(sqlx::query(prune).bind(json(stations)?).bind(others)).await.map(drop)
}
