//! One member of the demo's federation: its folder, its agent, and the person who decides there.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value as Json;

use super::children::{Running, wait_for};
use super::command::Person;
use super::files::{Founder, Ports, text};
use crate::api::types::{ChainInfo, SubjectInfo};
use crate::client::{AgentOptions, Client, percent};

/// A member; its agent may be away.
#[derive(Debug)]
pub struct Member {
    pub founder: Founder,
    /// The world's folder; the member's own has its name in it.
    dir: PathBuf,
    pub person: Person,
    /// For what anybody may read.
    pub client: Client,
    agent: Option<Running>,
    /// How often the agent was started.
    starts: usize,
}

impl Member {
    pub fn new(dir: &Path, founder: Founder, ports: Ports) -> Result<Member> {
        let url = format!("http://127.0.0.1:{}", ports.page);
        let person = Person {
            key: dir.join("people").join(founder.id).join("approval.key"),
            agent: url.clone(),
            token_file: dir.join(founder.id).join("data/api.token"),
        };
        let client = Client::new(&AgentOptions { url, token_file: None })?;
        Ok(Member { founder, dir: dir.to_owned(), person, client, agent: None, starts: 0 })
    }

    pub fn id(&self) -> &'static str {
        self.founder.id
    }

    /// A path in the member's data folder.
    pub fn data(&self, name: &str) -> PathBuf {
        self.dir.join(self.id()).join("data").join(name)
    }

    /// Address of the agent's page.
    pub fn page(&self) -> String {
        format!("{}/", self.person.agent)
    }

    /// Starts the agent; it may not answer yet.
    pub fn start(&mut self) -> Result<()> {
        self.starts += 1;
        let config = text(&self.dir.join(self.id()).join("agent.yaml"));
        let args = ["agent", "--config", &config, "--until-stdin-closes"];
        let log = self.dir.join(format!("logs/{}-{}.log", self.id(), self.starts));
        self.agent = Some(Running::start(&format!("{}'s agent", self.founder.name), &args, &log)?);
        Ok(())
    }

    /// Waits until the agent answers.
    pub fn wait_ready(&self) -> Result<()> {
        let what = format!("the start of {}'s agent", self.founder.name);
        wait_for(&what, || self.check_alive(), || self.chain().map(Some)).map(drop)
    }

    /// Ends the agent as `kill -9` does.
    pub fn kill(&mut self) -> Result<()> {
        let agent = self.agent.take().with_context(|| format!("{}'s agent is away", self.founder.name))?;
        agent.kill()
    }

    pub fn is_up(&self) -> bool {
        self.agent.is_some()
    }

    /// Fails if the agent ended by itself.
    pub fn check_alive(&self) -> Result<()> {
        self.agent.iter().try_for_each(Running::check_alive)
    }

    /// Tells the agent to end.
    pub fn dismiss(&self) {
        self.agent.iter().for_each(Running::dismiss);
    }

    /// Ends the agent and waits for it.
    pub fn stop(&mut self) -> Result<()> {
        self.agent.iter_mut().try_for_each(Running::stop)
    }

    /// Where the member's chain stands.
    pub fn chain(&self) -> Result<ChainInfo> {
        self.client.get("/api/v1/chain")
    }

    /// What the member's agent answers to a path below `/api/v1/`.
    pub fn ask(&self, path: &str) -> Result<Json> {
        self.client.get(&format!("/api/v1/{path}"))
    }

    /// A registration or request whose body the agent has: it can be approved.
    pub fn readable(&self, kind: &str, id: &str) -> Result<Option<SubjectInfo>> {
        let info: SubjectInfo = self.client.get(&format!("/api/v1/subjects/{kind}/{}", percent(id)))?;
        let Some(body) = &info.body else { return Ok(None) };
        self.client.get_bytes(&format!("/api/v1/bodies/{body}"))?;
        Ok(Some(info))
    }
}
