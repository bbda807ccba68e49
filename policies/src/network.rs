//! What lies around a cell: an index of the newest snapshots of all stations.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{Dn, Object, Snapshot};

/// How rules see beyond the object they judge.
pub trait Neighbourhood {
    /// The cells that a cell has relations to, in the order of the relations; `None` if the place where its
    /// relations stand is not in sight.
    fn relations_of(&self, cell: &Object) -> Option<Vec<NeighbourRef<'_>>>;

    /// The NRCellDU that an object belongs to: itself, or the one with the same cellLocalId on its station.
    fn cell_of<'a>(&'a self, object: &'a Object) -> Option<&'a Object>;
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
    /// Station → stations with relations into it.
    pointed_at_by: BTreeMap<Dn, BTreeSet<Dn>>,
}

#[derive(Debug, Clone)]
struct Station {
    snapshot: Arc<Snapshot>,
    stale: bool,
    /// cellLocalId → NRCellDU, by its place in the snapshot.
    cells: BTreeMap<String, usize>,
    /// cellLocalId → NRCellCU.
    units: BTreeMap<String, Dn>,
    /// NRCellCU → the references of its NRCellRelations, in their order.
    relations: BTreeMap<Dn, Vec<Reference>>,
}

#[derive(Debug, Clone)]
enum Reference {
    /// A cell, with its station.
    Cell(Dn, Dn),
    /// The relation whose reference is missing or names no cell of a station.
    Unreadable(Dn),
}

const STATION: &str = "ManagedElement";
const CELL_DU: &str = "NRCellDU";
const CELL_CU: &str = "NRCellCU";

impl NetworkIndex {
    /// Takes a station's snapshot in, read in this round (or `stale`: the newest there is, but older).
    pub fn update(&mut self, element: &Dn, snapshot: Arc<Snapshot>, stale: bool) {
        self.remove(element);
        let station = Station::new(snapshot, stale);
        for target in station.targets() {
            self.pointed_at_by.entry(target).or_default().insert(element.clone());
        }
        self.stations.insert(element.clone(), station);
    }

    /// Forgets a station.
    pub fn remove(&mut self, element: &Dn) {
        let Some(old) = self.stations.remove(element) else { return };
        for target in old.targets() {
            if let Some(sources) = self.pointed_at_by.get_mut(&target) {
                sources.remove(element);
            }
        }
    }

    /// At the start of a round every snapshot is an old one.
    pub fn mark_all_stale(&mut self) {
        self.stations.values_mut().for_each(|station| station.stale = true);
    }

    /// A station that was read again and had not changed.
    pub fn mark_fresh(&mut self, element: &Dn) {
        if let Some(station) = self.stations.get_mut(element) {
            station.stale = false;
        }
    }

    pub fn snapshot(&self, element: &Dn) -> Option<&Arc<Snapshot>> {
        self.stations.get(element).map(|station| &station.snapshot)
    }

    pub fn is_stale(&self, element: &Dn) -> bool {
        self.stations.get(element).is_some_and(|station| station.stale)
    }

    pub fn len(&self) -> usize {
        self.stations.len()
    }

    pub fn is_empty(&self) -> bool {
        self.stations.is_empty()
    }

    /// Other stations with relations into this one: when it changes, rules about neighbours are judged again
    /// there.
    pub fn dependents(&self, element: &Dn) -> Vec<Dn> {
        let sources = self.pointed_at_by.get(element);
        sources.into_iter().flatten().filter(|source| *source != element).cloned().collect()
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
        let cell = station.and_then(|s| s.cell_of(s.snapshot.object(dn)?));
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
        let unit = if cell.class() == CELL_CU { cell.dn() } else { station.units.get(local_id(cell)?)? };
        let references = station.relations.get(unit).map_or(&[][..], Vec::as_slice);
        Some(references.iter().map(|reference| self.resolve(reference)).collect())
    }

    fn cell_of<'a>(&'a self, object: &'a Object) -> Option<&'a Object> {
        if object.class() == CELL_DU {
            return Some(object);
        }
        self.station_of(object.dn())?.cell_of(object)
    }
}

impl Station {
    fn new(snapshot: Arc<Snapshot>, stale: bool) -> Station {
        let (mut cells, mut units) = (BTreeMap::new(), BTreeMap::new());
        let mut relations = BTreeMap::<Dn, Vec<Reference>>::new();
        for (place, object) in snapshot.objects().iter().enumerate() {
            match (object.class(), local_id(object)) {
                (CELL_DU, Some(id)) => {
                    cells.entry(id.to_owned()).or_insert(place);
                }
                (CELL_CU, Some(id)) => {
                    units.entry(id.to_owned()).or_insert_with(|| object.dn().clone());
                }
                ("NRCellRelation", _) => {
                    if let Some(unit) = object.dn().parent() {
                        relations.entry(unit).or_default().push(Reference::of(object));
                    }
                }
                _ => {}
            }
        }
        Station { snapshot, stale, cells, units, relations }
    }

    fn cell_of(&self, object: &Object) -> Option<&Object> {
        if object.class() == CELL_DU {
            return self.snapshot.object(object.dn());
        }
        let referenced = object.attribute("nRCellDURef").and_then(|value| {
            let name = value.occurrences().first()?.as_text()?;
            self.snapshot.object(&name.parse().ok()?)
        });
        referenced.or_else(|| self.snapshot.objects().get(*self.cells.get(local_id(object)?)?))
    }

    /// The stations its relations point to.
    fn targets(&self) -> BTreeSet<Dn> {
        let references = self.relations.values().flatten();
        references
            .filter_map(|reference| match reference {
                Reference::Cell(_, element) => Some(element.clone()),
                Reference::Unreadable(_) => None,
            })
            .collect()
    }
}

impl Reference {
    fn of(relation: &Object) -> Reference {
        let name = relation.attribute("adjacentNRCellRef").and_then(|value| value.as_text());
        let dn = name.and_then(|name| name.parse::<Dn>().ok());
        match dn.and_then(|dn| dn.ancestor(STATION).map(|element| (dn, element))) {
            Some((dn, element)) => Reference::Cell(dn, element),
            None => Reference::Unreadable(relation.dn().clone()),
        }
    }
}

fn local_id(object: &Object) -> Option<&str> {
    object.attribute("cellLocalId")?.as_text()
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
        index.mark_fresh(&element(2));
        assert!(!index.relations_of(cell(&index, 1)).unwrap()[0].stale);
    }

    #[test]
    fn what_points_at_a_station_is_judged_again_when_it_changes() {
        let mut index = NetworkIndex::default();
        index.update(&element(1), station(1, 2), false);
        index.update(&element(3), station(3, 2), false);
        assert_eq!(index.dependents(&element(2)), [element(1), element(3)]);
        index.update(&element(1), station(1, 3), false);
        assert_eq!(index.dependents(&element(2)), [element(3)]);
        assert_eq!(index.dependents(&element(3)), [element(1)]);
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
