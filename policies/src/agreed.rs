//! The agreement as rules see it: what it says about one object.

use std::rc::Rc;

use model::agreement::PartyKind;
use model::{Decimal, Dn};

use crate::catalogue::{Kind, Record};
use crate::expression::{AgreedPart, Inputs, Rec, Trouble, Val};

/// A party: `kind` is `operator` or `tower`.
static PARTY: Record = Record {
    name: "party",
    fields: &[
        ("id", Kind::Text),
        ("name", Kind::Text),
        ("kind", Kind::Word(&["operator", "tower"])),
        ("plmns", Kind::List(&Kind::Text)),
    ],
    base: None,
};
static PCI_POOL: Record =
    Record { name: "pci_pool", fields: &[("from", Kind::Int), ("to", Kind::Int)], base: None };
static LICENCE: Record = Record {
    name: "licence",
    fields: &[("party", Kind::Text), ("from_khz", Kind::Int), ("to_khz", Kind::Int)],
    base: None,
};
static TRACKING_AREA: Record = Record {
    name: "tracking_area",
    fields: &[("party", Kind::Text), ("codes", Kind::List(&Kind::Int))],
    base: None,
};
/// An agreed range, both ends included.
pub(crate) static RANGE: Record = Record {
    name: "range",
    fields: &[("min", Kind::Decimal), ("max", Kind::Decimal), ("unit", Kind::Text)],
    base: None,
};

/// What each part holds.
pub(crate) fn kind(part: AgreedPart) -> &'static Kind {
    match part {
        AgreedPart::Id => &Kind::Text,
        AgreedPart::Version => &Kind::Int,
        AgreedPart::Parties => &const { Kind::List(&Kind::Record(&PARTY)) },
        AgreedPart::Plmns => &Kind::List(&Kind::Text),
        AgreedPart::PciPools => &const { Kind::List(&Kind::Record(&PCI_POOL)) },
        AgreedPart::Spectrum => &const { Kind::List(&Kind::Record(&LICENCE)) },
        AgreedPart::Tacs => &Kind::List(&Kind::Int),
        AgreedPart::TrackingAreas => &const { Kind::List(&Kind::Record(&TRACKING_AREA)) },
    }
}

type Outcome<'a> = Result<Val<'a>, Trouble>;

/// A part of the agreement, as far as it covers the object. Where no line covers it nothing is agreed, which
/// is not the same as an empty list.
pub(crate) fn part<'a>(inputs: &Inputs<'a>, part: AgreedPart) -> Outcome<'a> {
    let (agreement, dn) = (inputs.agreement, inputs.object.dn());
    match part {
        AgreedPart::Id => Ok(Val::text(agreement.id.as_str())),
        AgreedPart::Version => Ok(Val::Int(agreement.version.into())),
        AgreedPart::Parties => Ok(parties(inputs)),
        AgreedPart::Plmns => {
            let line = agreement.sharing.iter().find(|line| line.scope.covers(dn));
            let line = line.ok_or_else(|| not_agreed("sharing line"))?;
            Ok(texts(&line.plmns))
        }
        AgreedPart::PciPools => {
            some("PCI pool", agreement.pci.iter().filter(|p| p.scope.covers(dn)), |pool| {
                Ok(record([("from", Val::Int(pool.from.into())), ("to", Val::Int(pool.to.into()))]))
            })
        }
        AgreedPart::Spectrum => {
            let lines = agreement.spectrum.iter().filter(|line| line.scope.covers(dn));
            some("licensed spectrum", lines, |line| {
                let khz = |edge: u64| i64::try_from(edge).map(Val::Int).unwrap_or(Val::Int(i64::MAX));
                Ok(record([
                    ("party", Val::text(line.party.as_str())),
                    ("from_khz", khz(line.from_khz)),
                    ("to_khz", khz(line.to_khz)),
                ]))
            })
        }
        AgreedPart::Tacs => {
            let areas = areas(inputs, dn);
            let codes = areas.flat_map(|area| area.codes.iter());
            some("tracking area code", codes, |code| code_of(code))
        }
        AgreedPart::TrackingAreas => some("tracking area plan", areas(inputs, dn), |area| {
            let codes = area.codes.iter().map(|code| code_of(code)).collect::<Result<_, _>>()?;
            Ok(record([("party", Val::text(area.party.as_str())), ("codes", Val::made(codes))]))
        }),
    }
}

/// The agreed range of an attribute of the object.
pub(crate) fn range<'a>(inputs: &Inputs<'a>, attribute: &str) -> Outcome<'a> {
    let dn = inputs.object.dn();
    let line = inputs
        .agreement
        .ranges
        .iter()
        .find(|line| line.scope.covers(dn) && line.attribute.matches(dn.class(), attribute))
        .ok_or_else(|| not_agreed(&format!("range of {attribute}")))?;
    let end = |text: &str| {
        Decimal::parse(text)
            .map(Val::Decimal)
            .ok_or_else(|| Trouble::NotConvertible { text: text.to_owned(), to: "a decimal number" })
    };
    Ok(record([("min", end(&line.min)?), ("max", end(&line.max)?), ("unit", Val::text(line.unit.as_str()))]))
}

fn areas<'a>(inputs: &Inputs<'a>, dn: &'a Dn) -> impl Iterator<Item = &'a model::agreement::TrackingArea> {
    inputs.agreement.tracking_areas.iter().filter(move |area| area.scope.covers(dn))
}

fn code_of<'a>(code: &'a str) -> Outcome<'a> {
    let number = code.trim().parse().map(Val::Int);
    number.map_err(|_| Trouble::NotConvertible { text: code.to_owned(), to: "a tracking area code" })
}

fn parties<'a>(inputs: &Inputs<'a>) -> Val<'a> {
    let party = |party: &'a model::agreement::Party| {
        let kind = match party.kind {
            PartyKind::Operator => "operator",
            PartyKind::Tower => "tower",
        };
        record([
            ("id", Val::text(party.id.as_str())),
            ("name", Val::text(party.name.as_str())),
            ("kind", Val::text(kind)),
            ("plmns", texts(&party.plmns)),
        ])
    };
    Val::made(inputs.agreement.parties.iter().map(party).collect())
}

fn some<'a, T>(
    what: &str,
    lines: impl Iterator<Item = T>,
    value: impl FnMut(T) -> Outcome<'a>,
) -> Outcome<'a> {
    let values: Vec<Val<'a>> = lines.map(value).collect::<Result<_, _>>()?;
    if values.is_empty() { Err(not_agreed(what)) } else { Ok(Val::made(values)) }
}

fn not_agreed(what: &str) -> Trouble {
    Trouble::NotAgreed { what: what.to_owned() }
}

fn texts(list: &[String]) -> Val<'_> {
    Val::made(list.iter().map(|text| Val::text(text.as_str())).collect())
}

fn record<'a, const N: usize>(fields: [(&'static str, Val<'a>); N]) -> Val<'a> {
    Val::Record(Rec::Made(Rc::new(fields.into())))
}
