//! The replies to read: stations of the simulated network, before and after a change.

use anyhow::{Context as _, Result, ensure};
use collector::reader::{ReadContext, read_xml};
use model::{Dn, Profile, Snapshot};
use sim::config::StationPlan;
use yang5::context::{Context, ContextFlags};
use yang5::data::{DataFormat, DataParserFlags, DataTree, DataValidationFlags};

/// Leaves that differ between the two documents.
pub const CHANGED: usize = 3;

/// A station's configuration before and after a change.
#[derive(Debug)]
pub struct Documents {
    pub previous: String,
    pub current: String,
    pub element: Dn,
    pub profile: Profile,
    /// The station's modules, as libyang compiles them.
    pub schema: Context,
}

impl Documents {
    /// 150 KB, the middle class of shared stations.
    pub fn middle() -> Result<Documents> {
        Documents::generate(16, 130_000..160_000)
    }

    /// 1 MB.
    pub fn large() -> Result<Documents> {
        Documents::generate(54, 900_000..1_200_000)
    }

    fn generate(cells: usize, expected: std::ops::Range<usize>) -> Result<Documents> {
        let plan = StationPlan { seed: 1, station: 1, stations: 12, cells, west: 0 };
        let previous = plan.configuration().to_xml();
        ensure!(expected.contains(&previous.len()), "{cells} cells give {} bytes", previous.len());
        let changed = with_text(&previous, "configuredMaxTxPower", "250000")?;
        let changed = with_text(&changed, "nRPCI", "999")?;
        let current = with_text(&changed, "nRTCI", "7000000")?;
        let element = plan.element_dn().parse()?;
        Ok(Documents { previous, current, element, profile: Profile::plain("plain"), schema: schema()? })
    }

    /// As libyang has it: typed, in canonical form, not validated.
    pub fn parse(&self, document: &str) -> Result<DataTree<'_>> {
        let (parse, check) =
            (DataParserFlags::NO_VALIDATION | DataParserFlags::STRICT, DataValidationFlags::empty());
        Ok(DataTree::parse_string(&self.schema, document, DataFormat::XML, parse, check)?)
    }

    pub fn read(&self, document: &str) -> Result<Snapshot> {
        Ok(read_xml(document.as_bytes(), &ReadContext::new(&self.profile, &self.element))?)
    }
}

fn schema() -> Result<Context> {
    let mut context = Context::new(ContextFlags::NO_YANGLIBRARY | ContextFlags::DISABLE_SEARCHDIR_CWD)?;
    context.set_searchdir(concat!(env!("CARGO_MANIFEST_DIR"), "/../sim/yang"))?;
    for module in
        ["ranproof-nrm-managed-element", "ranproof-nrm-nr", "ranproof-nrm-eutra", "ranproof-nrm-radio"]
    {
        context.load_module(module, None, &[])?;
    }
    Ok(context)
}

/// The document with another text in its first element of this name.
fn with_text(document: &str, name: &str, text: &str) -> Result<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let (before, rest) = document.split_once(&open).with_context(|| format!("no {name} in the document"))?;
    let (old, after) = rest.split_once(&close).with_context(|| format!("{name} has no end"))?;
    ensure!(old != text, "{name} has this text already");
    Ok([before, &open, text, &close, after].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_documents_are_of_their_size_and_differ_in_the_leaves_that_are_spoken_of() {
        for documents in [Documents::middle().unwrap(), Documents::large().unwrap()] {
            let (a, b) =
                (documents.read(&documents.previous).unwrap(), documents.read(&documents.current).unwrap());
            assert_eq!(model::diff(&a, &b).unwrap().len(), CHANGED);
        }
    }
}
