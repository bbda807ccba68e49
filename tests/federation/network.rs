//! Where the members' agents are: each in a network namespace of its own on a bridge that only this test has. Faults
//! are rules of the packet filter there.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::{fs::File, os::fd::AsFd as _};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value as Json;
use tokio::runtime::Runtime;

use crate::process::PROGRAM;
use crate::world::MEMBERS;

/// This test's own place on the bridge.
pub const HUB: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// The three addresses of one agent.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub page: SocketAddr,
    pub node: SocketAddr,
    pub peer: SocketAddr,
}

/// Sets the network up, inside [`crate::alone::alone`], and gives each member its place.
pub fn build() -> [Place; 4] {
    run("mount", &["-t", "tmpfs", "none", "/run"]);
    run("ip", &["link", "set", "lo", "up"]);
    run("ip", &["link", "add", "hub", "type", "bridge"]);
    run("ip", &["address", "add", &format!("{HUB}/24"), "dev", "hub"]);
    run("ip", &["link", "set", "hub", "up"]);
    std::array::from_fn(attach)
}

/// A command that runs `ranproof` where the member is.
pub fn program(member: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{member}")).arg(PROGRAM);
    command
}

/// A runtime whose threads, and all that they start, are where the member is.
pub fn runtime(member: &'static str) -> Runtime {
    let enter = move || {
        let place = File::open(format!("/run/netns/{member}")).unwrap();
        move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    };
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .on_thread_start(enter)
        .build()
        .unwrap()
}

fn address(member: usize) -> IpAddr {
    IpAddr::from([10, 77, 0, 11 + u8::try_from(member).unwrap()])
}

/// Gives a member a namespace with a cable into the bridge.
fn attach(member: usize) -> Place {
    let (name, cable) = (MEMBERS[member], format!("cable{member}"));
    run("ip", &["netns", "add", name]);
    run("ip", &["link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns", name]);
    run("ip", &["link", "set", &cable, "master", "hub", "up"]);
    run("ip", &["-n", name, "link", "set", "lo", "up"]);
    run("ip", &["-n", name, "address", "add", &format!("{}/24", address(member)), "dev", "eth0"]);
    run("ip", &["-n", name, "link", "set", "eth0", "up"]);
    let at = |port| SocketAddr::from((address(member), port));
    Place { page: at(8420), node: at(8421), peer: at(8422) }
}

/// A fault of the network between members; this test's own place on the bridge is never touched. Removed at the end
/// of its life.
#[derive(Debug)]
pub struct Fault {
    members: Vec<usize>,
}

impl Fault {
    /// Nothing passes between the two sides.
    pub fn partition(one: &[usize], other: &[usize]) -> Fault {
        for (side, far) in [(one, other), (other, one)] {
            for member in side {
                let far: Vec<String> = far.iter().map(|m| address(*m).to_string()).collect();
                let rule = format!("ip daddr {{ {} }} counter drop", far.join(", "));
                load_rules(*member, FAULT, "output", &rule);
            }
        }
        Fault { members: [one, other].concat() }
    }

    /// Each packet between any two members is lost with this probability.
    pub fn loss(percent: u32) -> Fault {
        for member in 0..MEMBERS.len() {
            let others = (0..MEMBERS.len()).filter(|other| *other != member);
            let others: Vec<String> = others.map(|other| address(other).to_string()).collect();
            let chance = format!("numgen random mod 100 < {percent}");
            let rule = format!("ip daddr {{ {} }} {chance} counter drop", others.join(", "));
            load_rules(member, FAULT, "output", &rule);
        }
        Fault { members: (0..MEMBERS.len()).collect() }
    }

    /// Packets that it has dropped so far.
    pub fn dropped(&self) -> u64 {
        self.members.iter().map(|member| counted(*member, FAULT)).sum()
    }

    /// Ends the fault and tells how many packets it dropped.
    pub fn heal(self) -> u64 {
        self.dropped()
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        for member in &self.members {
            // In a test that fails already; the namespaces go with it.
            let _ = nft(*member, &["delete", "table", "inet", FAULT]).output();
        }
    }
}

/// Counts packets that come from this test's place to one of a member's ports.
#[derive(Debug)]
pub struct Watch {
    member: usize,
}

impl Watch {
    pub fn visits_to(member: usize, port: u16) -> Watch {
        load_rules(member, WATCH, "input", &format!("ip saddr {HUB} tcp dport {port} counter"));
        Watch { member }
    }

    pub fn packets(&self) -> u64 {
        counted(self.member, WATCH)
    }
}

/// Names of tables of the packet filter.
const FAULT: &str = "fault";
const WATCH: &str = "watch";

fn nft(member: usize, arguments: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{}", MEMBERS[member])).arg("nft").args(arguments);
    command
}

fn load_rules(member: usize, table: &str, hook: &str, rule: &str) {
    let chain = format!("type filter hook {hook} priority 0;\n {rule}");
    let rules = format!("table inet {table} {{\n chain passing {{\n {chain}\n }}\n}}\n");
    let mut child = nft(member, &["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "nft refuses:\n{rules}");
}

fn counted(member: usize, table: &str) -> u64 {
    let output = nft(member, &["--json", "list", "table", "inet", table]).output().unwrap();
    let listing: Json = serde_json::from_slice(&output.stdout).unwrap();
    let entries = listing["nftables"].as_array().unwrap().iter();
    let expressions = entries.filter_map(|entry| entry["rule"]["expr"].as_array()).flatten();
    expressions.filter_map(|expression| expression["counter"]["packets"].as_u64()).sum()
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {words}");
}
