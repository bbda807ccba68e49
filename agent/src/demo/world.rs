//! The demo's world: its folder, its stations, its members with their agents, and what they can do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use model::change::ExpectedEdit;
use model::{Agreement, Dn, Value};
use serde_json::Value as Json;

use super::DemoOptions;
use super::children::wait_for;
use super::command;
use super::files::{self, Ports, Seat, text};
use super::member::Member;
use super::network::Network;
use crate::api::types::RoundSummary;
use crate::cli::output::talk;
use crate::client::percent;

/// A running world.
#[derive(Debug)]
pub struct World {
    dir: PathBuf,
    pub network: Network,
    agreement: Agreement,
    members: Vec<Member>,
}

/// Marks a folder as a demo's, which a later demo may replace.
const MARK: &str = "this-is-a-ranproof-demo";

/// How long a round waits for the chain before it goes on unopened, in seconds. In the demo somebody looks on.
const FINALITY_SECONDS: u64 = 5;

/// What people type after `ranproof` for a kind of subject, and what the API calls it.
const KINDS: &[(&str, &str)] =
    &[("agreement", "agreement"), ("policy", "policy-set"), ("inventory", "inventory"), ("change", "change")];

impl World {
    /// Makes folder and keys, starts stations and agents, and waits until all answer.
    pub fn build(options: &DemoOptions) -> Result<World> {
        let dir = fresh(&options.dir)?;
        let stations = dir.join("stations");
        talk(&format!("Starting {} stations (NETCONF over SSH on 127.0.0.1)", options.stations));
        let network = Network::start(&stations, &dir.join("logs"), options)?;
        talk("Drawing keys, writing agreement, inventories and policies");
        let initialised = files::federation(&dir, files::FEDERATION, command::run)?;
        let agreement = files::agreement(&dir.join("agreement.yaml"), options.stations)?;
        files::policies(&dir.join("policies"))?;
        for operator in agreement.operators().map(|party| party.id.as_str()) {
            let inventory = dir.join(format!("inventory-{operator}.yaml"));
            let targets = dir.join(operator).join("targets.json");
            files::stations(&stations, &network.known, (operator, &agreement), &inventory, &targets)?;
            write_trust(&dir, &agreement, operator)?;
        }
        let seats = seats(&agreement, |id| {
            let peer_id = initialised.get(id).and_then(|public| public.get("peer_id")?.as_str());
            peer_id.map(str::to_owned).with_context(|| format!("the node of {id} has no peer id"))
        })?;
        files::agents(&dir, &seats, FINALITY_SECONDS)?;
        talk("Starting four agents, each with its chain node");
        let members = seats.iter().map(|seat| Member::new(&dir, seat.founder, seat.ports));
        let mut world = World { members: members.collect::<Result<_>>()?, dir, network, agreement };
        world.members.iter_mut().try_for_each(Member::start)?;
        world.members.iter().try_for_each(Member::wait_ready)?;
        Ok(world)
    }

    pub fn say(&self, line: &str) {
        talk(&format!("  {line}"));
    }

    /// A path in the world's folder.
    pub fn path(&self, name: &str) -> String {
        text(&self.dir.join(name))
    }

    pub fn stations(&self) -> usize {
        self.network.known.stations.len()
    }

    pub fn member(&self, id: &str) -> Result<&Member> {
        self.members.iter().find(|m| m.id() == id).with_context(|| format!("there is no member {id}"))
    }

    pub fn member_mut(&mut self, id: &str) -> Result<&mut Member> {
        self.members.iter_mut().find(|m| m.id() == id).with_context(|| format!("there is no member {id}"))
    }

    /// Members who are parties of the agreement.
    pub fn parties(&self) -> Vec<&'static str> {
        let party = |m: &&Member| self.agreement.party(m.id()).is_some();
        self.members.iter().filter(party).map(Member::id).collect()
    }

    /// Addresses of the agents' pages.
    pub fn pages(&self) -> Vec<String> {
        self.members.iter().map(Member::page).collect()
    }

    /// Looks until there is something to see, as long as nothing has ended that should run.
    pub fn wait<T>(&self, what: &str, look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        wait_for(what, || self.check_alive(), look)
    }

    fn check_alive(&self) -> Result<()> {
        self.network.check_alive()?;
        self.members.iter().try_for_each(Member::check_alive)
    }

    /// Waits until every agent that runs has the chain up to `height`.
    pub fn follow(&self, height: u64) -> Result<()> {
        for member in self.members.iter().filter(|member| member.is_up()) {
            let what = format!("{}'s chain reaching height {height}", member.founder.name);
            self.wait(&what, || Ok((member.chain()?.height >= height).then_some(())))?;
        }
        Ok(())
    }

    /// Each of `who` approves at the own agent, once that has the body; all agents follow.
    pub fn approve(&self, kind: &str, id: &str, who: &[&str]) -> Result<()> {
        let (_, subject) = KINDS.iter().find(|(word, _)| *word == kind).context("no such kind")?;
        let mut height = 0;
        for member in who {
            let member = self.member(member)?;
            let what = format!("the body of {id} reaching {}", member.founder.name);
            self.wait(&what, || member.readable(subject, id))?;
            member.person.run(&[kind, "approve", id])?;
            height = member.chain()?.height;
        }
        self.follow(height)
    }

    /// Runs a round of `member` and waits for it.
    pub fn collect(&self, member: &str) -> Result<RoundSummary> {
        self.member(member)?.person.ask(&["collect", "--once"])
    }

    /// Both operators collect, at the same time.
    pub fn collect_both(&self) -> Result<(RoundSummary, RoundSummary)> {
        std::thread::scope(|scope| {
            let unicom = scope.spawn(|| self.collect("unicom"));
            let telecom = self.collect("telecom")?;
            let unicom = unicom.join().map_err(|_| anyhow::anyhow!("Unicom's round ended abnormally"))??;
            Ok((telecom, unicom))
        })
    }

    /// The operator that alone reaches an object's station.
    fn master(&self, object: &Dn) -> Result<&Member> {
        let master = self.agreement.master_operator(object);
        self.member(master.with_context(|| format!("{object} is in nobody's district"))?)
    }

    /// An object as its operator read it last, and what is approved of it.
    pub fn read(&self, object: &Dn) -> Result<Json> {
        self.master(object)?.ask(&format!("objects/{}", percent(object.as_str())))
    }

    /// An edit from the value as last read to `new`.
    pub fn expect(&self, object: &Dn, attribute: &str, new: Value) -> Result<ExpectedEdit> {
        let old = self.read(object)?.pointer(&format!("/attributes/{attribute}")).cloned();
        let old = old.with_context(|| format!("{object} has no {attribute}"))?;
        Ok(ExpectedEdit {
            object: object.clone(),
            attribute: attribute.to_owned(),
            old: Some(serde_json::from_value(old)?),
            new: Some(new),
        })
    }

    /// The approved value of an attribute, as soon as there is one.
    pub fn approved(&self, object: &Dn, attribute: &str) -> Result<Value> {
        let place = format!("/approved/{attribute}/value");
        let value = self.wait(&format!("an approved {attribute} of {object}"), || {
            Ok(self.read(object)?.pointer(&place).filter(|value| !value.is_null()).cloned())
        })?;
        Ok(serde_json::from_value(value)?)
    }

    /// The first relation of a station's first cell.
    pub fn first_relation(&self, number: usize) -> Result<Dn> {
        let cell = self.network.object(number, "GNBCUCPFunction=1,NRCellCU=1")?;
        let contained =
            self.read(&cell)?.get("contains").and_then(Json::as_array).cloned().unwrap_or_default();
        let first = contained.first().and_then(Json::as_str).context("the cell has no relation")?;
        Ok(first.parse()?)
    }

    /// Turns a list of structures on a station round.
    pub fn reorder(&self, object: &Dn, attribute: &str) -> Result<()> {
        let value = self.read(object)?.pointer(&format!("/attributes/{attribute}")).cloned();
        let entries = value.as_ref().and_then(Json::as_array).context("the attribute is no list")?;
        self.network.reorder(object, attribute, entries)
    }

    /// All violations that `member` found in its own district, in whatever state.
    pub fn violations(&self, member: &str) -> Result<Vec<Json>> {
        let mut out = Vec::new();
        for state in ["open", "acknowledged", "waived", "resolved"] {
            let page: Json = self.member(member)?.person.ask(&["violation", "list", "--state", state])?;
            let rows = page.get("violations").and_then(Json::as_array).cloned().unwrap_or_default();
            out.extend(rows);
        }
        Ok(out)
    }

    /// How far a request has been carried out, as `member` knows.
    pub fn progress(&self, member: &str, id: &str) -> Result<String> {
        let change: Json = self.member(member)?.person.ask(&["change", "show", id])?;
        Ok(change.get("progress").and_then(Json::as_str).unwrap_or_default().to_owned())
    }

    /// Waits for Ctrl-C, or for a process that ends by itself.
    pub fn stay(&self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut look = tokio::time::interval(Duration::from_secs(1));
            loop {
                tokio::select! {
                    pressed = tokio::signal::ctrl_c() => return pressed.context("cannot wait for Ctrl-C"),
                    _ = look.tick() => self.check_alive()?,
                }
            }
        })
    }

    /// Ends all processes, the agents first.
    pub fn stop(&mut self) -> Result<()> {
        self.members.iter().for_each(Member::dismiss);
        self.members.iter_mut().try_for_each(Member::stop)?;
        self.network.stop()
    }
}

/// The agents of the demo's federation with ports of their own.
fn seats(agreement: &Agreement, peer_id: impl Fn(&str) -> Result<String>) -> Result<Vec<Seat>> {
    let ports = files::free_ports(3 * files::FEDERATION.len())?;
    let founders = files::FEDERATION.iter().zip(ports.chunks_exact(3));
    founders
        .map(|(founder, ports)| {
            let &[page, node, peer] = ports else { bail!("three ports are needed for {}", founder.id) };
            Ok(Seat {
                founder: *founder,
                ports: Ports { page, node, peer },
                peer_id: peer_id(founder.id)?,
                collects: agreement.operators().any(|party| party.id == founder.id),
            })
        })
        .collect()
}

/// Whose cosignatures an operator requires that looks at another one's claims.
pub fn cosigners(operator: &str) -> [&str; 2] {
    [operator, "tower"]
}

/// What an operator trusts that looks at another one's claims: its own and the tower company's cosignatures, and for a
/// violation its own second judgement. Which signatures a claim's origin itself gave does not count.
fn write_trust(dir: &Path, agreement: &Agreement, operator: &str) -> Result<()> {
    let needed: Vec<String> = cosigners(operator).map(str::to_owned).into();
    let path = dir.join(format!("trust-{operator}.yaml"));
    let require = |require: &mut anchor::trust::Requirements| {
        (require.change, require.violation, require.round) = (needed.clone(), needed.clone(), needed);
        require.judgement = vec![operator.to_owned()];
    };
    files::trust(&dir.join("genesis.json"), agreement, require, &path)
}

/// An empty folder with the mark; an earlier demo in it is removed, anything else is left alone.
fn fresh(dir: &Path) -> Result<PathBuf> {
    if dir.exists() {
        let empty =
            dir.read_dir().with_context(|| format!("cannot read {}", dir.display()))?.next().is_none();
        if !dir.join(MARK).exists() && !empty {
            bail!("{} holds something that is no demo; hint: --dir another", dir.display());
        }
        std::fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    for folder in ["logs", "bundles", "stations"] {
        std::fs::create_dir_all(dir.join(folder))
            .with_context(|| format!("cannot create {}", dir.display()))?;
    }
    std::fs::write(dir.join(MARK), "").with_context(|| format!("cannot write to {}", dir.display()))?;
    Ok(dir.to_owned())
}
