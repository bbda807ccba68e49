//! Debian's netconfd behind an sshd with the NETCONF subsystem, on loopback, in a folder of its own.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use collector::session::{Address, Credential, HostKeyPin, Target};
use sim::modules::MODULES;
use tempfile::TempDir;

const SSHD: &str = "/usr/sbin/sshd";
const NETCONFD: &str = "/usr/sbin/netconfd";
const SUBSYSTEM: &str = "/usr/sbin/netconf-subsystem";

/// Longest wait for both servers to answer; a quarter of a second is usual.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server with an empty configuration. It ends when dropped.
pub struct Netconfd {
    folder: TempDir,
    port: u16,
    user: String,
    python: PathBuf,
    /// Where its modules lie.
    modules: PathBuf,
    children: Vec<Child>,
}

/// What came of an edit.
#[derive(Debug, PartialEq, Eq)]
pub enum Edited {
    /// The running configuration holds it.
    Done,
    /// The server said ok and the running configuration does not hold it.
    NotThere,
    /// The server refused.
    Refused,
}

impl Netconfd {
    /// Starts both servers, or says `SKIPPED: why` and gives `None` where they or ncclient are missing.
    ///
    /// With `RANPROOF_NO_SKIP` set nothing may be missing.
    pub fn start() -> Option<Netconfd> {
        Netconfd::start_with(&modules_folder())
    }

    /// The same with other texts of our modules.
    pub fn start_with(modules: &Path) -> Option<Netconfd> {
        let python = match prerequisites() {
            Ok(python) => python,
            Err(why) if std::env::var_os("RANPROOF_NO_SKIP").is_some() => panic!("{why}"),
            Err(why) => {
                writeln!(std::io::stderr(), "SKIPPED: {why}").expect("standard error is open");
                return None;
            }
        };
        let folder = TempDir::new().expect("a temporary folder can be made");
        for name in ["host", "other", "user"] {
            let file = folder.path().join(name);
            output(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(file));
        }
        let user = output(Command::new("id").arg("-un"));
        let modules = modules.to_owned();
        let mut server = Netconfd { folder, port: 0, user, python, modules, children: Vec::new() };
        // netconfd must be told the port that its subsystem sees, so the kernel cannot choose it at the
        // time of binding. Whoever takes it in between costs one more try.
        let mut why = String::new();
        for _ in 0..3 {
            server.port = free_port();
            match server.launch() {
                Ok(()) => return Some(server),
                Err(reason) => why = reason,
            }
            server.stop();
        }
        panic!("netconfd does not start: {why}");
    }

    /// How the collector reaches it, with the right host key pinned.
    pub fn target(&self) -> Target {
        let credential = Credential::private_key(&self.text("user")).expect("ssh-keygen wrote a key");
        Target {
            address: Address { host: "127.0.0.1".into(), port: self.port },
            user: self.user.clone(),
            host_key: self.pin("host"),
            credential,
        }
    }

    /// The same with a host key that this server does not have.
    pub fn target_with_another_pin(&self) -> Target {
        Target { host_key: self.pin("other"), ..self.target() }
    }

    /// Has ncclient make the edit of `edits/<name>.xml` and read it back; with `validate` it asks for
    /// validation before the commit.
    pub fn edit(&self, name: &str, validate: bool) -> Edited {
        let script = here().join("edit.py");
        let file = here().join("edits").join(name).with_extension("xml");
        let mut command = Command::new(&self.python);
        command.arg(script).args(["--port", &self.port.to_string(), "--user", &self.user]);
        command.arg("--key").arg(self.path("user")).arg("--host-key").arg(self.path("host.pub"));
        if validate {
            command.arg("--validate");
        }
        let result = command.arg(file).output().expect("the interpreter was found before");
        let words = String::from_utf8_lossy(&result.stderr);
        match result.status.code() {
            Some(0) => Edited::Done,
            Some(1) if words.contains("said ok") => Edited::NotThere,
            Some(2) if words.contains("RPCError") => Edited::Refused,
            code => panic!("edit.py ended with {code:?}: {words}\n{}", self.log()),
        }
    }

    /// What sshd wrote so far.
    pub fn ssh_log(&self) -> String {
        self.text("sshd.log")
    }

    fn launch(&mut self) -> Result<(), String> {
        let socket = self.path("ncx.sock");
        fs::write(self.path("sshd_config"), self.sshd_config()).expect("the folder is ours");
        let modules = format!("{}:/usr/share/yuma/modules", self.modules.display());
        let mut netconfd = Command::new("setpriv");
        netconfd.args(["--pdeathsig", "KILL", NETCONFD, "--target=candidate"]);
        // One that is only imported by another is compiled and not served.
        netconfd.args(MODULES.iter().map(|module| format!("--module={}", module.name)));
        // Entries stay in the order in which they came, so that there is an order to disregard.
        netconfd.arg("--system-sorted=false");
        netconfd.args(["--with-startup=false", "--no-startup", "--access-control=off", "--log-level=info"]);
        netconfd.arg(format!("--modpath={modules}")).arg(format!("--superuser={}", self.user));
        netconfd.arg(format!("--ncxserver-sockname={}", socket.display()));
        netconfd.arg(format!("--port={}", self.port)).env("HOME", self.folder.path());
        // It writes a backup of its configuration into whatever folder it runs in.
        netconfd.current_dir(self.folder.path());
        self.spawn(&mut netconfd, "netconfd.log");

        let mut sshd = Command::new("setpriv");
        sshd.args(["--pdeathsig", "KILL", SSHD, "-D", "-e", "-f"]).arg(self.path("sshd_config"));
        self.spawn(&mut sshd, "sshd.log");

        let end = Instant::now() + PATIENCE;
        while UnixStream::connect(&socket).is_err()
            || TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err()
        {
            let gone = self.children.iter_mut().any(|c| !matches!(c.try_wait(), Ok(None)));
            if gone || Instant::now() > end {
                return Err(self.log());
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn sshd_config(&self) -> String {
        let folder = self.folder.path().display();
        let port = self.port;
        // Without PAM sshd refuses an account that has no password at all, as root has on some systems.
        let locked = fs::read_to_string("/etc/shadow")
            .is_ok_and(|shadow| shadow.lines().any(|line| line.starts_with(&format!("{}:!", self.user))));
        let pam = if locked { "yes" } else { "no" };
        format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\n\
             AuthorizedKeysFile {folder}/user.pub\nStrictModes no\nUsePAM {pam}\n\
             PermitRootLogin prohibit-password\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nLogLevel VERBOSE\n\
             Subsystem netconf \"{SUBSYSTEM} --ncxserver-sockname={port}@{folder}/ncx.sock\"\n"
        )
    }

    fn spawn(&mut self, command: &mut Command, log: &str) {
        let log = File::create(self.path(log)).expect("the folder is ours");
        let errors = log.try_clone().expect("a file can be opened twice");
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        self.children.push(command.spawn().expect("setpriv was found before"));
    }

    fn stop(&mut self) {
        for mut child in self.children.drain(..) {
            // Already gone is as good as killed now.
            let _ = child.kill();
            let _ = child.wait();
        }
        // A stale socket keeps the next netconfd from binding.
        let _ = fs::remove_file(self.path("ncx.sock"));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn pin(&self, name: &str) -> HostKeyPin {
        self.text(&format!("{name}.pub")).parse().expect("ssh-keygen wrote a public key")
    }

    fn log(&self) -> String {
        format!("sshd:\n{}netconfd:\n{}", self.text("sshd.log"), self.text("netconfd.log"))
    }
}

impl Drop for Netconfd {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A Python with ncclient, when everything else is there too.
fn prerequisites() -> Result<PathBuf, String> {
    for program in [SSHD, NETCONFD, SUBSYSTEM] {
        if !Path::new(program).exists() {
            return Err(format!("{program} is missing; hint: ./check installs netconfd and openssh-server"));
        }
    }
    if running_as_root() {
        // sshd wants it, and it vanishes with each reboot.
        fs::create_dir_all("/run/sshd").map_err(|error| format!("/run/sshd cannot be made: {error}"))?;
    }
    let python = python();
    match Command::new(&python).args(["-c", "import ncclient, lxml"]).output() {
        Ok(result) if result.status.success() => Ok(python),
        _ => Err(format!("{} has no ncclient; hint: ./check sets one up", python.display())),
    }
}

/// The Python that ./check sets up, another by request.
pub fn python() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/venv/bin/python");
    let named = std::env::var_os("RANPROOF_PYTHON").map(PathBuf::from);
    named.unwrap_or_else(|| if own.exists() { own } else { "python3".into() })
}

fn running_as_root() -> bool {
    output(Command::new("id").arg("-u")) == "0"
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/netconfd")
}

/// Our modules, which the simulated stations serve too.
pub fn modules_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sim/yang")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    listener.local_addr().expect("it is bound").port()
}

/// Standard output of a command that cannot fail here.
fn output(command: &mut Command) -> String {
    let result = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(result.status.success(), "{command:?}: {}", String::from_utf8_lossy(&result.stderr));
    String::from_utf8_lossy(&result.stdout).trim().to_owned()
}
