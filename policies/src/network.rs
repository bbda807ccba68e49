//! What lies around a cell: an index of the newest snapshots of all stations.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{Dn, Object, Snapshot};

use crate::expression::Attributes;
use crate::sight::{Seen, Sight};

/// How rules see beyond the object they judge.
pub trait Neighbourhood {
    /// The cells that a cell has relations to, in the order of the relations; `None` if the place where its
    /// relations stand is not in sight.
    fn relations_of(&self, cell: &Object) -> Option<Vec<NeighbourRef<'_>>>;

    /// The NRCellDU that an object belongs to: itself, or the one with the same cellLocalId on its station.
    fn cell_of<'a>(&'a self, object: &'a Object) -> Option<&'a Object>;

    /// All that objects of the station with this newest snapshot can see around them; `None` where nobody can tell.
    fn sight_of(&self, _snapshot: &Arc<Snapshot>) -> Option<Sight> {
        None
    }
}

/// A cell that another one has a relation to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeighbourRef<'a> {
    /// Its NRCellDU's name if that is in sight, else the name the relation gives.
    pub dn: Dn,
    /// Its NRCellDU, `None` if that is not in sight.
    pub cell: Option<&'a Object>,
    /// Whether its station's newest snapshot is older than the round being judged.
    pub stale: bool,
}

/// The newest snapshot of every station. Updating one station costs what that station holds.
#[derive(Debug, Clone, Default)]
pub struct NetworkIndex {
    stations: BTreeMap<Dn, Station>,
}

#[derive(Debug, Clone)]
struct Station {
    snapshot: Arc<Snapshot>,
    stale: bool,
    layout: Arc<Layout>,
}

/// Where a station's cells and relations stand, and what they refer to.
#[derive(Debug)]
pub(crate) struct Layout {
    /// cellLocalId → NRCellDU, by its place in the snapshot.
    cells: BTreeMap<String, usize>,
    /// cellLocalId → NRCellCU.
    units: BTreeMap<String, Dn>,
    /// NRCellCU → its NRCellDU's place in the snapshot.
    cells_of_units: BTreeMap<Dn, usize>,
    /// All NRCellRelations, in the order of their names.
    relations: Vec<Relation>,
    /// The stations that these refer to, each once.
    stations: Vec<Dn>,
    /// The places of cells, and of their units, with the unit whose relations each has.
    pub sees: Vec<(usize, usize)>,
    /// The stations that the relations of each unit refer to.
    pub units_see: Vec<Vec<usize>>,
}

/// An NRCellRelation: its place in the snapshot and what it refers to.
#[derive(Debug, Clone)]
struct Relation {
    place: usize,
    to: Reference,
}

#[derive(Debug, Clone)]
enum Reference {
    /// A cell, with its station.
    Cell(Dn, Dn),
    /// The relation whose reference is missing or names no cell of a station.
    Unreadable(Dn),
}

const STATION: &str = "ManagedElement";
pub(crate) const CELL_DU: &str = "NRCellDU";
pub(crate) const CELL_CU: &str = "NRCellCU";
const RELATION: &str = "NRCellRelation";
const ADJACENT: &str = "adjacentNRCellRef";
const LOCAL_ID: &str = "cellLocalId";
const CELL_DU_REFERENCE: &str = "nRCellDURef";

impl NetworkIndex {
    /// Takes a station's snapshot in, read in this round (or `stale`: the newest there is, but older).
    pub fn update(&mut self, element: &Dn, snapshot: Arc<Snapshot>, stale: bool) {
        let station = Station::new(snapshot, stale, self.stations.get(element));
        self.stations.insert(element.clone(), station);
    }

    /// Forgets all stations but those that `keep` names.
    pub fn retain(&mut self, keep: impl Fn(&Dn) -> bool) {
        self.stations.retain(|element, _| keep(element));
    }

    pub fn is_empty(&self) -> bool {
        self.stations.is_empty()
    }

    /// An object of any station.
    pub fn object(&self, dn: &Dn) -> Option<&Object> {
        self.station_of(dn)?.snapshot.object(dn)
    }

    fn station_of(&self, dn: &Dn) -> Option<&Station> {
        self.stations.get(&dn.ancestor(STATION)?)
    }

    fn resolve(&self, reference: &Reference) -> NeighbourRef<'_> {
        let (dn, element) = match reference {
            Reference::Cell(dn, element) => (dn, element),
            Reference::Unreadable(relation) => {
                return NeighbourRef { dn: relation.clone(), cell: None, stale: false };
            }
        };
        let station = self.stations.get(element);
        let cell = station.and_then(|s| s.cell_named(dn));
        NeighbourRef {
            dn: cell.map_or(dn, |cell| cell.dn()).clone(),
            cell,
            stale: cell.is_some() && station.is_some_and(|s| s.stale),
        }
    }
}

impl Neighbourhood for NetworkIndex {
    fn relations_of(&self, cell: &Object) -> Option<Vec<NeighbourRef<'_>>> {
        let station = self.station_of(cell.dn())?;
        let unit =
            if cell.class() == CELL_CU { cell.dn() } else { station.layout.units.get(local_id(cell)?)? };
        Some(station.relations_under(unit).map(|relation| self.resolve(&relation.to)).collect())
    }

    fn cell_of<'a>(&'a self, object: &'a Object) -> Option<&'a Object> {
        if object.class() == CELL_DU {
            return Some(object);
        }
        self.station_of(object.dn())?.cell_of(object)
    }

    fn sight_of(&self, snapshot: &Arc<Snapshot>) -> Option<Sight> {
        let own = self.station_of(snapshot.objects().first()?.dn())?;
        let is_newest = Arc::ptr_eq(&own.snapshot, snapshot);
        let others = own.layout.stations.iter().map(|element| self.stations.get(element).map(Station::seen));
        is_newest.then(|| Sight::new(own.seen(), others.collect()))
    }
}

impl Station {
    /// What `old` knew of what has not changed is taken over.
    fn new(snapshot: Arc<Snapshot>, stale: bool, old: Option<&Station>) -> Station {
        let layout = match old.filter(|old| stand_alike(&old.snapshot, &snapshot)) {
            Some(old) => Arc::clone(&old.layout),
            None => Arc::new(Layout::of(&snapshot, old)),
        };
        Station { snapshot, stale, layout }
    }

    fn seen(&self) -> Seen {
        let (snapshot, layout) = (Arc::clone(&self.snapshot), Arc::clone(&self.layout));
        Seen { snapshot, layout, stale: self.stale }
    }

    fn at(&self, place: usize) -> Option<&Object> {
        self.snapshot.objects().get(place).map(|object| &**object)
    }

    /// The NRCellDU that a name leads to: most references name the NRCellCU.
    fn cell_named(&self, dn: &Dn) -> Option<&Object> {
        match self.layout.cells_of_units.get(dn) {
            Some(place) => self.at(*place),
            None => self.cell_of(self.snapshot.object(dn)?),
        }
    }

    /// Relations whose names begin with the unit's stand together, since names are sorted; those right below it count.
    fn relations_under<'a>(&'a self, unit: &'a Dn) -> impl Iterator<Item = &'a Relation> {
        let relations = &self.layout.relations;
        let name = |relation: &Relation| self.snapshot.objects()[relation.place].dn();
        let below = move |relation: &&Relation| name(relation).is_within(unit);
        let from = relations.partition_point(|relation| name(relation) < unit);
        let own = move |relation: &&Relation| name(relation).parent_str() == Some(unit.as_str());
        relations.get(from..).unwrap_or_default().iter().take_while(below).filter(own)
    }

    fn cell_of(&self, object: &Object) -> Option<&Object> {
        self.at(cell_place(&self.snapshot, &self.layout.cells, object)?)
    }
}

/// Where the NRCellDU of an object stands. A reference to an object of another class is none.
fn cell_place(snapshot: &Snapshot, cells: &BTreeMap<String, usize>, object: &Object) -> Option<usize> {
    let place = |dn: &Dn| snapshot.objects().binary_search_by(|other| other.dn().cmp(dn)).ok();
    if object.class() == CELL_DU {
        return place(object.dn());
    }
    let referenced = object
        .attribute(CELL_DU_REFERENCE)
        .and_then(|value| value.occurrences().first()?.as_text()?.parse::<Dn>().ok())
        .filter(|dn| dn.class() == CELL_DU)
        .and_then(|dn| place(&dn));
    referenced.or_else(|| cells.get(local_id(object)?).copied())
}

/// Whether everything that a layout is made of is the same in both.
fn stand_alike(old: &Snapshot, new: &Snapshot) -> bool {
    let alike = |(old, new): (&Arc<Object>, &Arc<Object>)| {
        if Arc::ptr_eq(old, new) {
            return true;
        }
        old.dn() == new.dn()
            && match new.class() {
                CELL_DU | CELL_CU => refer_alike(old, new),
                RELATION => old.attribute(ADJACENT) == new.attribute(ADJACENT),
                _ => true,
            }
    };
    old.objects().len() == new.objects().len() && old.objects().iter().zip(new.objects()).all(alike)
}

/// Whether two states of an object belong to the same NRCellDU.
fn refer_alike(old: &Object, new: &Object) -> bool {
    let same = |name: &str| old.attribute(name) == new.attribute(name);
    same(LOCAL_ID) && same(CELL_DU_REFERENCE)
}

/// Both snapshots fit one layout: whether anybody who looks at cells through it sees the same in both.
pub(crate) fn look_alike(old: &Snapshot, new: &Snapshot, attributes: &Attributes) -> bool {
    let alike = |(old, new): (&Arc<Object>, &Arc<Object>)| {
        Arc::ptr_eq(old, new)
            || (refer_alike(old, new) && (new.class() != CELL_DU || attributes.alike(old, new)))
    };
    old.objects().iter().zip(new.objects()).all(alike)
}

impl Layout {
    fn of(snapshot: &Snapshot, old: Option<&Station>) -> Layout {
        let (mut cells, mut units) = (BTreeMap::new(), BTreeMap::new());
        let (mut all_units, mut relations) = (Vec::new(), Vec::new());
        let mut known = Known::of(old);
        for (place, object) in snapshot.objects().iter().enumerate() {
            match object.class() {
                CELL_DU => {
                    if let Some(id) = local_id(object) {
                        cells.entry(id.to_owned()).or_insert(place);
                    }
                }
                CELL_CU => {
                    all_units.push(object);
                    if let Some(id) = local_id(object) {
                        units.entry(id.to_owned()).or_insert_with(|| object.dn().clone());
                    }
                }
                RELATION => {
                    let to = known.reference(object).unwrap_or_else(|| Reference::of(object));
                    relations.push(Relation { place, to });
                }
                _ => {}
            }
        }
        let cell = |unit: &Arc<Object>| Some((unit.dn().clone(), cell_place(snapshot, &cells, unit)?));
        let cells_of_units = all_units.into_iter().filter_map(cell).collect();
        let stations: BTreeSet<&Dn> = relations.iter().filter_map(Relation::station).collect();
        let stations = stations.into_iter().cloned().collect();
        let (sees, units_see) = (Vec::new(), Vec::new());
        let layout = Layout { cells, units, cells_of_units, relations, stations, sees, units_see };
        let (sees, units_see) = layout.look_around(snapshot);
        Layout { sees, units_see, ..layout }
    }

    /// Kept by unit: cells of one unit may be as many as its relations.
    fn look_around(&self, snapshot: &Snapshot) -> (Vec<(usize, usize)>, Vec<Vec<usize>>) {
        let objects = snapshot.objects();
        let mut by_unit: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
        for relation in &self.relations {
            let unit = objects.get(relation.place).and_then(|object| object.dn().parent_str());
            let station = relation.station().and_then(|station| self.stations.binary_search(station).ok());
            if let (Some(unit), Some(station)) = (unit, station) {
                by_unit.entry(unit).or_default().insert(station);
            }
        }
        let numbers: BTreeMap<&str, usize> = by_unit.keys().copied().zip(0..).collect();
        let seen = |(place, object): (usize, &Arc<Object>)| {
            let unit = match object.class() {
                CELL_CU => object.dn(),
                CELL_DU => self.units.get(local_id(object)?)?,
                _ => return None,
            };
            Some((place, *numbers.get(unit.as_str())?))
        };
        let sees = objects.iter().enumerate().filter_map(seen).collect();
        (sees, by_unit.into_values().map(|stations| stations.into_iter().collect()).collect())
    }
}

/// A station's relations as they were read before, walked in step with the new ones.
struct Known<'a> {
    old: Option<&'a Station>,
    next: usize,
}

impl<'a> Known<'a> {
    fn of(old: Option<&'a Station>) -> Known<'a> {
        Known { old, next: 0 }
    }

    /// What an unchanged relation refers to. Relations come in the order of their names.
    fn reference(&mut self, relation: &Object) -> Option<Reference> {
        let old = self.old?;
        while let Some(before) = old.layout.relations.get(self.next) {
            let object = old.snapshot.objects().get(before.place)?;
            match object.dn().cmp(relation.dn()) {
                Ordering::Less => self.next += 1,
                Ordering::Equal if object.digest() == relation.digest() => return Some(before.to.clone()),
                _ => return None,
            }
        }
        None
    }
}

impl Relation {
    fn station(&self) -> Option<&Dn> {
        match &self.to {
            Reference::Cell(_, element) => Some(element),
            Reference::Unreadable(_) => None,
        }
    }
}

impl Reference {
    fn of(relation: &Object) -> Reference {
        let name = relation.attribute(ADJACENT).and_then(|value| value.as_text());
        let dn = name.and_then(|name| name.parse::<Dn>().ok());
        match dn.and_then(|dn| dn.ancestor(STATION).map(|element| (dn, element))) {
            Some((dn, element)) => Reference::Cell(dn, element),
            None => Reference::Unreadable(relation.dn().clone()),
        }
    }
}

fn local_id(object: &Object) -> Option<&str> {
    object.attribute(LOCAL_ID)?.as_text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Digest, Interpretation, Value};

    fn dn(text: &str) -> Dn {
        text.parse().unwrap()
    }

    fn element(n: u32) -> Dn {
        dn(&format!("SubNetwork=a,ManagedElement=g{n}"))
    }

    /// A station of one cell with a relation to the first cell of another station.
    fn station(n: u32, neighbour: u32) -> Arc<Snapshot> {
        let object = |name: String, attributes: &[(&str, String)]| {
            let attributes = attributes.iter().map(|(n, v)| ((*n).into(), Value::text(v.as_str()))).collect();
            Object::new(dn(&name), attributes, vec![])
        };
        let (me, id) = (element(n), ("cellLocalId", "1".to_owned()));
        let unit = format!("{me},GNBCUCPFunction=1,NRCellCU=9");
        let adjacent = format!("{},GNBCUCPFunction=1,NRCellCU=9", element(neighbour));
        let objects = vec![
            object(format!("{me},GNBDUFunction=1,NRCellDU=1"), std::slice::from_ref(&id)),
            object(format!("{me},OperatorDU=u,NROperatorCellDU=1"), std::slice::from_ref(&id)),
            object(unit.clone(), &[id]),
            object(format!("{unit},NRCellRelation=1"), &[("adjacentNRCellRef", adjacent)]),
        ];
        Arc::new(Snapshot::new(Interpretation::new("none", &Digest::of(b"p")), objects, vec![]))
    }

    fn cell(index: &NetworkIndex, n: u32) -> &Object {
        index.object(&dn(&format!("{},GNBDUFunction=1,NRCellDU=1", element(n)))).unwrap()
    }

    #[test]
    fn a_relation_leads_to_the_neighbour_s_distributed_unit() {
        let mut index = NetworkIndex::default();
        index.update(&element(1), station(1, 2), false);
        let unknown = index.relations_of(cell(&index, 1)).unwrap();
        assert_eq!(unknown.iter().map(|n| n.cell.is_some()).collect::<Vec<_>>(), [false]);
        index.update(&element(2), station(2, 1), true);
        let known = index.relations_of(cell(&index, 1)).unwrap();
        assert_eq!(known[0].dn, dn("SubNetwork=a,ManagedElement=g2,GNBDUFunction=1,NRCellDU=1"));
        assert!(known[0].cell.is_some() && known[0].stale);
        index.update(&element(2), station(2, 1), false);
        assert!(!index.relations_of(cell(&index, 1)).unwrap()[0].stale);
    }

    #[test]
    fn an_operator_s_cell_belongs_to_the_shared_cell_of_its_number() {
        let mut index = NetworkIndex::default();
        index.update(&element(1), station(1, 2), false);
        let own =
            index.object(&dn("SubNetwork=a,ManagedElement=g1,OperatorDU=u,NROperatorCellDU=1")).unwrap();
        assert_eq!(index.cell_of(own).unwrap().class(), "NRCellDU");
    }
}
