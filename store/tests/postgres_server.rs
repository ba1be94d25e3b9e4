//! A private PostgreSQL server that the first test starts and that ends with this process, however it ends.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

pub(crate) struct Server {
    sockets: PathBuf,
    bin: PathBuf,
    user: Option<&'static str>,
    /// The shell around the server: it ends both when our end of its standard input closes, with this process.
    shell: Mutex<Child>,
}

pub(crate) fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

/// Makes a cluster, runs it until standard input ends, removes it. No TCP: a socket in the folder has no port to clash.
const SCRIPT: &str = r#"
set -e
"$1/initdb" --pgdata="$2/data" --username=signalbox --auth=trust --encoding=UTF8 --no-sync >"$2/initdb.log" 2>&1
"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c max_connections=200 \
  </dev/null >"$2/server.log" 2>&1 &
server=$!
trap 'kill -INT $server; wait $server; rm -rf "$2"' EXIT
read -r _ || true
"#;

impl Server {
    fn start() -> Self {
        let bin = installed().expect("PostgreSQL is missing: scripts/install-test-deps installs it");
        // The server refuses to run as root.
        let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        let user = root.then_some("postgres");
        let sockets = tempfile::Builder::new().prefix("store-pg-").tempdir().unwrap().keep();
        if let Some(user) = user {
            assert!(Command::new("chown").arg(user).arg(&sockets).status().unwrap().success());
        }
        let shell = as_user(user, "bash")
            .args(["-c", SCRIPT, "bash"])
            .args([&bin, &sockets])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let server = Self { sockets, bin, user, shell: Mutex::new(shell) };
        let started = Instant::now();
        while !server.accepts() {
            let mut said = String::new();
            let mut child = server.shell.lock().unwrap();
            if child.try_wait().unwrap().is_some() {
                child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                panic!("PostgreSQL did not start: {said}; see {}", server.sockets.display());
            }
            assert!(started.elapsed() < Duration::from_secs(60), "PostgreSQL did not start in a minute");
            drop(child);
            std::thread::park_timeout(Duration::from_millis(50));
        }
        server
    }

    fn accepts(&self) -> bool {
        self.psql("SELECT 1").output().unwrap().status.success()
    }

    /// Makes a new database; its name.
    pub(crate) fn database(&self) -> String {
        let name = format!("test_{}", store::new_id().replace('-', ""));
        let done = self.psql(&format!("CREATE DATABASE {name}")).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        name
    }

    /// The server's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.sockets.join(".s.PGSQL.5432")
    }

    fn psql(&self, sql: &str) -> Command {
        let mut psql = as_user(self.user, self.bin.join("psql"));
        psql.args(["-X", "-q", "-U", "signalbox", "-d", "postgres", "-c", sql, "-h"]).arg(&self.sockets);
        psql.current_dir("/");
        psql
    }

    pub(crate) fn url(&self, database: &str) -> String {
        let host = self.sockets.display().to_string().replace('/', "%2F");
        format!("postgres://signalbox@{host}/{database}")
    }
}

fn as_user(user: Option<&str>, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let Some(user) = user else { return Command::new(program) };
    let mut command = Command::new("runuser");
    command.args(["-u", user, "--"]).arg(program);
    command.current_dir("/");
    command
}

/// The folder with `initdb` and `postgres`: on the path, or where Debian puts the newest version.
fn installed() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    versions.sort();
    folders.extend(versions.into_iter().rev().map(|version| version.join("bin")));
    let whole = |folder: &Path| ["initdb", "postgres", "psql"].iter().all(|name| folder.join(name).is_file());
    folders.into_iter().find(|folder| whole(folder))
}
