//! The command `serve`: a page in a browser.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use crate::database::{Database, Ended, on_each_database};

/// A server, and its address.
struct Served {
    process: Child,
    address: String,
}

impl Served {
    fn by(database: &Database, arguments: &[&str]) -> Self {
        let mut command = database.command(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat());
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a process");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("its output")).read_line(&mut line).expect("its address");
        let address = line.trim().trim_start_matches("http://").trim_end_matches('/').to_owned();
        Self { process, address }
    }

    /// Sends a request, and returns the whole response.
    fn send(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        stream.write_all(request.as_bytes()).expect("a request");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("a response");
        response
    }

    fn get(&self, path: &str, host: &str) -> String {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
    }

    /// Asks the process to end, as a supervisor does.
    fn end(mut self) -> Option<i32> {
        let id = self.process.id().to_string();
        let killed = std::process::Command::new("kill").args(["-TERM", &id]).status().expect("`kill`");
        assert!(killed.success());
        self.process.wait().expect("the process").code()
    }
}

#[test]
fn page_is_served_on_this_machine_alone() {
    on_each_database(|database| {
        database.create_ignored(2);
        let served = Served::by(database, &[]);
        assert!(served.address.starts_with("127.0.0.1:"), "{}", served.address);
        let overview = served.get("/", &served.address);
        assert!(overview.starts_with("HTTP/1.1 200"), "{overview}");
        for text in ["2 ignored within the last day", "read-only", " read units used", &database.table] {
            assert!(overview.contains(text), "no {text:?} in {overview}");
        }
        let task = served.get("/u/extract/task?id=doc-000", &served.address);
        assert!(task.contains(&format!(" --table {} get doc-000", database.table)), "{task}");
        assert!(served.get("/", "evil.example").starts_with("HTTP/1.1 421"));
        let form = "action=redrive&id=doc-000";
        let host = &served.address;
        let post = format!(
            "POST /u/extract/act HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        );
        assert!(served.send(&post).starts_with("HTTP/1.1 404"));
        assert_eq!(served.end(), Some(0));
    });
}

#[test]
fn page_with_changes_redrives() {
    on_each_database(|database| {
        database.create_ignored(1);
        let served = Served::by(database, &["--allow-writes", "--token", "correct horse"]);
        let host = &served.address;
        assert!(served.get("/", host).starts_with("HTTP/1.1 401"));
        let form = "action=redrive&id=doc-000";
        let head = format!("Host: {host}\r\nAuthorization: Bearer correct horse\r\nConnection: close\r\n");
        let post = format!(
            "POST /u/extract/act HTTP/1.1\r\n{head}Origin: http://{host}\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        );
        let begun = served.send(&post);
        assert!(begun.starts_with("HTTP/1.1 303"), "{begun}");
        crate::database::until(|| {
            served
                .send(&format!("GET /u/extract/task?id=doc-000 HTTP/1.1\r\n{head}\r\n"))
                .contains("redriven by hand")
        });
        assert_eq!(served.end(), Some(0));
        assert_eq!(database.status_of("doc-000"), Some(crate::database::ExtractStatus::Pending));
    });
}

#[test]
fn page_that_others_could_misuse_is_not_served() {
    on_each_database(|database| {
        database.create_ignored(1);
        for (arguments, said) in [
            (&["--listen", "0.0.0.0:0"][..], "needs --token"),
            (&["--listen", "0.0.0.0:0", "--token", "correct horse"], "needs --host"),
            (&["--token", "short"], "at least 12 characters"),
            (&["--allow-writes", "--read-only"], "exclude each other"),
        ] {
            database.run(&[&["serve"], arguments].concat()).with_code(2).said(said);
        }
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        Ended::of(&mut database.command(&["serve", "--listen", &address])).with_code(1).said(&address);
    });
}
