//! A private PostgreSQL server for a test, which ends with it. Debian's, from `scripts/install-test-deps`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Makes a cluster, runs it until standard input ends, removes it. No TCP: a socket in the folder has no port to clash.
const SCRIPT: &str = r#"
set -e
"$1/initdb" --pgdata="$2/data" --username=signalbox --auth=trust --encoding=UTF8 --no-sync >"$2/initdb.log" 2>&1
"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off </dev/null >"$2/server.log" 2>&1 &
server=$!
trap 'kill -INT $server; wait $server; rm -rf "$2"' EXIT
read -r _ || true
"#;

pub(super) struct Postgres {
    shell: Child,
    pub(super) url: String,
}

impl Postgres {
    pub(super) fn start() -> Self {
        let bin = installed()
            .unwrap_or_else(|| panic!("PostgreSQL is missing: scripts/install-test-deps installs it"));
        let folder = std::env::temp_dir().join(format!("signalbox-pg-{}", store::new_id()));
        std::fs::create_dir(&folder).unwrap();
        // The server refuses to run as root.
        let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        if root {
            assert!(Command::new("chown").arg("postgres").arg(&folder).status().unwrap().success());
        }
        let mut bash = if root { Command::new("runuser") } else { Command::new("bash") };
        if root {
            bash.args(["-u", "postgres", "--", "bash"]);
        }
        bash.args(["-c", SCRIPT, "bash"]).args([&bin, &folder]).current_dir("/");
        let mut shell = bash.stdin(Stdio::piped()).spawn().unwrap();
        let ready = || {
            let mut ask = Command::new(bin.join("pg_isready"));
            ask.args(["-q", "-h"]).arg(&folder).status().unwrap().success()
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !ready() {
            assert!(shell.try_wait().unwrap().is_none(), "PostgreSQL did not start: {}", folder.display());
            assert!(Instant::now() < deadline, "PostgreSQL did not start in a minute");
            std::thread::park_timeout(Duration::from_millis(50));
        }
        let host = folder.display().to_string().replace('/', "%2F");
        Self { shell, url: format!("postgres://signalbox@{host}/postgres") }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// The newest of Debian's folders with the programs.
fn installed() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin")).collect();
    folders.sort();
    folders.push(Path::new("/usr/bin").to_owned());
    folders.into_iter().rev().find(|folder| folder.join("initdb").is_file())
}
