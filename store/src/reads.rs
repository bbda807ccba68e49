//! Writing a round's reads: only what differs from the snapshot before, many stations to a statement.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{Digest, Dn, Object};

use crate::columns::{Hex, insert_many, json};
use crate::database::Link;
use crate::error::{Result, StoreError};
use crate::objects::{self, Packer, Roots, root_of};
use crate::replies;
use crate::rounds::StationSnapshot;
use crate::seal::insert_sealed;
use crate::snapshots::{Standing, StandingObject, manifest};

/// Stations that are written together: bounds what is held beside the round itself.
const TOGETHER: usize = 64;

/// Names that are looked up by one statement, whose answer is one value.
const NAMES: usize = 1_000;

/// A station, by its number, with what was read of it.
pub(crate) type Read<'a> = (i64, &'a StationSnapshot);

/// What a read changes in its station's versions.
struct Change<'a> {
    station: i64,
    changed: Vec<&'a Arc<Object>>,
    gone: Vec<Dn>,
}

/// Adds what differs from the newest snapshots, and the raw replies. Part of a round's one transaction.
pub(crate) async fn write(link: &mut Link, round: i64, reads: &[Read<'_>], keep_raw: u32) -> Result<()> {
    let mut packer = Packer::new()?;
    for reads in reads.chunks(TOGETHER) {
        let roots = newest_roots(link, reads).await?;
        let (mut standing, mut changes) = (BTreeMap::new(), Vec::with_capacity(reads.len()));
        for (station, read) in reads {
            let base = read.base.as_deref().filter(|base| roots.get(station) == Some(base.root()));
            let change = match base {
                Some(base) => between(*station, base.objects(), read),
                None => {
                    let full = manifest(link, *station, i64::MAX).await?;
                    let change = since(*station, &full, read);
                    standing.extend(full.into_iter().map(|(dn, one)| ((*station, dn), one)));
                    change
                }
            };
            changes.push(change);
        }
        look_up(link, &changes, &mut standing).await?;
        write_versions(link, round, &changes, &standing, &mut packer).await?;
        write_rows(link, round, reads).await?;
        replies::write(link, round, reads, keep_raw).await?;
    }
    Ok(())
}

type Names = BTreeMap<(i64, Dn), Standing>;

/// From the snapshot that the caller knows to the one read; both are sorted by name.
fn between<'a>(station: i64, before: &'a [Arc<Object>], read: &'a StationSnapshot) -> Change<'a> {
    let mut change = Change { station, changed: vec![], gone: vec![] };
    let mut before = before.iter().peekable();
    for object in read.snapshot.objects() {
        // Nearly all of them are those of before, and comparing names costs more than all the rest.
        if before.next_if(|old| Arc::ptr_eq(old, object)).is_some() {
            continue;
        }
        while let Some(gone) = before.next_if(|old| old.dn() < object.dn()) {
            change.gone.push(gone.dn().clone());
        }
        match before.next_if(|old| old.dn() == object.dn()) {
            Some(old) if old.digest() == object.digest() => {}
            _ => change.changed.push(object),
        }
    }
    change.gone.extend(before.map(|object| object.dn().clone()));
    change
}

/// The same from what is stored.
fn since<'a>(station: i64, before: &BTreeMap<Dn, Standing>, read: &'a StationSnapshot) -> Change<'a> {
    let same = |object: &&Arc<Object>| {
        before.get(object.dn()).and_then(|s| s.object.as_ref()).is_some_and(|o| o.digest == *object.digest())
    };
    let objects = read.snapshot.objects();
    let present: BTreeSet<&Dn> = objects.iter().map(|object| object.dn()).collect();
    let gone = before.iter().filter(|(dn, s)| s.object.is_some() && !present.contains(dn));
    let gone = gone.map(|(dn, _)| dn.clone()).collect();
    Change { station, changed: objects.iter().filter(|o| !same(o)).collect(), gone }
}

/// The root of each station's newest snapshot. A snapshot that the caller holds is believed to be that one only if it
/// has this root, which is over the digests of all its objects.
async fn newest_roots(link: &mut Link, reads: &[Read<'_>]) -> Result<BTreeMap<i64, Digest>> {
    let known: Vec<i64> = reads.iter().filter(|(_, read)| read.base.is_some()).map(|(id, _)| *id).collect();
    let query = "SELECT json_group_array(json_array(s.station, lower(hex(s.root)))) AS packed \
                 FROM json_each(?) j CROSS JOIN snapshots s ON s.station = j.value \
                 AND s.round = (SELECT max(round) FROM snapshots WHERE station = j.value)";
    let rows: Vec<(i64, Hex)> = link.packed(sqlx::query(query).bind(json(&known)?)).await?;
    Ok(rows.into_iter().map(|(station, Hex(root))| (station, root)).collect())
}

/// Numbers of the names that change and of what stands for them; new numbers for names never seen.
async fn look_up(link: &mut Link, changes: &[Change<'_>], standing: &mut Names) -> Result<()> {
    let mut wanted: Vec<(i64, Dn)> = Vec::new();
    for change in changes {
        let names = change.changed.iter().map(|object| object.dn()).chain(&change.gone);
        wanted.extend(names.map(|dn| (change.station, dn.clone())).filter(|key| !standing.contains_key(key)));
    }
    find(link, &wanted, standing).await?;
    wanted.retain(|key| !standing.contains_key(key));
    let head = "INSERT INTO names (station, dn) ";
    insert_many(link, head, " ON CONFLICT (station, dn) DO NOTHING", &wanted, |tuple, (station, dn)| {
        tuple.push_bind(*station).push_bind(dn.to_string());
    })
    .await?;
    find(link, &wanted, standing).await
}

async fn find(link: &mut Link, wanted: &[(i64, Dn)], standing: &mut Names) -> Result<()> {
    let query = "SELECT json_group_array(json_array(n.station, n.id, n.dn, o.id, o.base, o.depth, \
                 nullif(lower(hex(o.digest)), ''))) AS packed \
                 FROM json_each(?) j CROSS JOIN names n ON n.station = j.value ->> 0 AND n.dn = j.value ->> 1 \
                 LEFT JOIN versions v ON v.name = n.id AND v.round = \
                 (SELECT max(w.round) FROM versions w WHERE w.name = n.id) LEFT JOIN objects o ON o.id = v.object";
    type Row = (i64, i64, Dn, Option<i64>, Option<i64>, Option<i64>, Option<Hex>);
    for wanted in wanted.chunks(NAMES) {
        let rows: Vec<Row> = link.packed(sqlx::query(query).bind(json(wanted)?)).await?;
        for (station, name, dn, id, base, depth, digest) in rows {
            let object = match (id, depth, digest) {
                (Some(id), Some(depth), Some(Hex(digest))) => {
                    Some(StandingObject { root: root_of(id, base, depth), digest })
                }
                _ => None,
            };
            standing.insert((station, dn), Standing { name, object });
        }
    }
    Ok(())
}

async fn write_versions(
    link: &mut Link,
    round: i64,
    changes: &[Change<'_>],
    standing: &Names,
    packer: &mut Packer,
) -> Result<()> {
    let place = |station: i64, dn: &Dn| {
        standing.get(&(station, dn.clone())).ok_or_else(|| StoreError::missing("name", dn))
    };
    let mut changed = Vec::new();
    for change in changes {
        for object in &change.changed {
            changed.push((place(change.station, object.dn())?, *object));
        }
    }
    let root = |before: &Standing| before.object.as_ref().and_then(|object| object.root);
    let roots: Vec<i64> = changed.iter().filter_map(|(before, _)| root(before)).collect();
    let roots = Roots::load(link, &roots).await?;
    let (mut encoded, mut versions) = (Vec::with_capacity(changed.len()), Vec::with_capacity(changed.len()));
    for (before, object) in changed {
        encoded.push(packer.encode((before.name, round), object, &roots, root(before))?);
        versions.push((before.name, Some(object.digest().0.to_vec())));
    }
    objects::put(link, &encoded).await?;
    for change in changes {
        for dn in &change.gone {
            versions.push((place(change.station, dn)?.name, None));
        }
    }
    // In the order of the key, so that rows of one page are written together.
    versions.sort_unstable_by_key(|(name, _)| *name);
    let head = "INSERT INTO versions (name, round, object) ";
    insert_many(link, head, "", &versions, |tuple, (name, digest)| {
        tuple.push_bind(*name).push_bind(round);
        tuple.push("(SELECT id FROM objects WHERE digest = ");
        tuple.push_bind_unseparated(digest.clone()).push_unseparated(")");
    })
    .await
    .map(drop)
}

async fn write_rows(link: &mut Link, round: i64, reads: &[Read<'_>]) -> Result<()> {
    let mut rows = Vec::with_capacity(reads.len());
    for (station, read) in reads {
        let findings = read.snapshot.findings();
        let findings = if findings.is_empty() { None } else { Some(json(findings)?) };
        rows.push([
            (*station).into(),
            round.into(),
            read.read.0.into(),
            read.snapshot.interpretation().0.0.into(),
            read.snapshot.root().0.into(),
            read.raw_digest.0.into(),
            findings.into(),
        ]);
    }
    let columns = ["station", "round", "read_at", "interpretation", "root", "raw", "findings"];
    insert_sealed(link, "snapshots", columns, rows).await
}
