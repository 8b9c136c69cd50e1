//! The builder of an operator.

use std::fmt;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::KeySchemaElement;

use super::{Operator, Step};
use crate::config::TrackerConfig;
use crate::declare::description::Description;
use crate::declare::description::compare::for_operator;
use crate::declare::description::intern::interned;
use crate::declare::layout::Layout;
use crate::declare::names::KEY;
use crate::declare::spec::{TrackerSpec, spec};
use crate::declare::status::{StatusRow, StatusTable};
use crate::dynamodb::{Context, table};
use crate::error::{Error, ErrorKind};
use crate::item::history::Note;
use crate::item::use_case::UseCase;
use crate::table::description;
use crate::table::versioned::Read;
use crate::time::{Clock, SystemClock};

/// Builds an [`Operator`].
#[must_use = "the operator is opened by `open`"]
pub struct OperatorBuilder {
    client: Client,
    table: Option<String>,
    use_case_id: Option<String>,
    description: Option<Description>,
    layout: Option<Layout>,
    read_only: bool,
    note: Note,
    clock: Arc<dyn Clock>,
}

impl OperatorBuilder {
    pub(super) fn new(client: &Client) -> Self {
        Self {
            client: client.clone(),
            table: None,
            use_case_id: None,
            description: None,
            layout: None,
            read_only: false,
            note: Note::default(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Sets the table. By default it is that of the description.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = Some(table.into());
        self
    }

    /// Sets the use case. By default it is that of the description, or the only one that is described in the table.
    pub fn use_case_id(mut self, id: impl Into<String>) -> Self {
        self.use_case_id = Some(id.into());
        self
    }

    /// Sets the description: [`StatusTracker::describe`](crate::StatusTracker::describe), or one from a file. By default it is
    /// the one that the table keeps.
    pub fn description(mut self, description: Description) -> Self {
        self.description = Some(description);
        self
    }

    /// Refuses all writes.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Sets who acts. The history of a task that is changed by hand names them.
    pub fn actor(mut self, name: impl Into<String>) -> Self {
        self.note.by = Some(name.into());
        self
    }

    /// Sets why they act. The history of a task that is changed by hand has the reason.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.note.reason = Some(reason.into());
        self
    }

    /// Sets the layout of the table. By default, the description that the table keeps says it; that needs `dynamodb:DescribeTable` if
    /// the table has another primary key than the tracker's own.
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = Some(layout);
        self
    }

    /// Sets the clock; by default, the [`SystemClock`] of the machine.
    pub fn clock<C: Clock>(mut self, clock: C) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Reads the description that the table keeps, and returns the operator.
    ///
    /// Writes are refused if stored tasks have other codes than the description. The operator writes a task to no more shards
    /// than every program of the table reads, so that workers find the task.
    ///
    /// # Errors
    ///
    /// - [`InvalidConfig`](ErrorKind::InvalidConfig) if no table is named, or the description cannot be used.
    /// - [`NotDescribed`](ErrorKind::NotDescribed) if no use case is named, and the table describes none or several.
    /// - [`Decode`](ErrorKind::Decode) if another version has written the description.
    /// - [`TableNotFound`](ErrorKind::TableNotFound) if the table does not exist.
    /// - The error of a request that DynamoDB refused or did not answer.
    pub async fn open(self) -> Result<Operator, Error> {
        let invalid = |reason: String| Error::new(ErrorKind::InvalidConfig { reason });
        let table = self.table.clone();
        let table = table.or_else(|| self.description.as_ref()?.table.clone());
        let table = table.ok_or_else(|| invalid("no table is named; name one".to_owned()))?;
        let use_case_id = self.use_case_id.clone();
        let use_case_id = use_case_id.or_else(|| Some(self.description.as_ref()?.use_case_id.clone()));
        let use_case_id = match use_case_id {
            Some(id) => id,
            None => self.only_use_case(&table).await?,
        };
        let (bare, read) = self.read_description(&table, &use_case_id).await?;
        let mut unreadable = false;
        let stored = match read {
            Read::Absent => None,
            Read::Found(description, _) => Some(description),
            Read::Unreadable if self.description.is_some() => {
                unreadable = true;
                None
            }
            Read::Unreadable => return Err(description::unreadable(&use_case_id)),
        };
        let given =
            self.description.clone().map(|given| Description { layout: self.known_layout(), ..given });
        let (description, mut read_only) = match given.as_ref().or(stored.as_ref()) {
            None => (None, Vec::new()),
            Some(given) => {
                let (mut description, reasons) = for_operator(stored.as_ref(), given);
                description.use_case_id.clone_from(&use_case_id);
                (Some(description), reasons)
            }
        };
        if !read_only.is_empty() {
            read_only.push("use the description of the table, or the program that has written it".to_owned());
        }
        if unreadable {
            read_only.push("this version cannot read the description of the table".to_owned());
        }
        if self.read_only {
            read_only.insert(0, "the operator is read-only".to_owned());
        }
        let steps = match &description {
            None => Vec::new(),
            Some(description) => self.steps(description, &table)?,
        };
        let cx = steps.first().map_or(bare, |step| Arc::clone(&step.cx));
        Ok(Operator { steps, cx, description, stored, read_only, note: self.note })
    }

    /// Returns the only use case that the table describes.
    async fn only_use_case(&self, table: &str) -> Result<String, Error> {
        let bare = self.bare(table, "", self.known_layout());
        let described = match description::use_cases(&bare).await {
            Err(error) if self.may_have_another_layout(&error) => {
                let layout = layout_of(&bare, error).await?;
                description::use_cases(&self.bare(table, "", layout)).await?
            }
            described => described?,
        };
        let reason = match &described[..] {
            [only] => return Ok(only.clone()),
            [] => format!(
                "the table `{table}` describes none; name the use case, and give its description, or call \
                 `verify_table` in a program that declares it"
            ),
            several => format!("the table `{table}` describes several; name one: {}", several.join(", ")),
        };
        Err(Error::new(ErrorKind::NotDescribed { reason }))
    }

    /// Reads the description of a use case. Returns also a context without statuses, with the layout of the table.
    async fn read_description(
        &self,
        table: &str,
        use_case_id: &str,
    ) -> Result<(Arc<Context>, Read<Description>), Error> {
        let bare = self.bare(table, use_case_id, self.known_layout());
        match description::read(&bare, use_case_id).await {
            Err(error) if self.may_have_another_layout(&error) => {
                let layout = layout_of(&bare, error).await?;
                let bare = self.bare(table, use_case_id, layout);
                let read = description::read(&bare, use_case_id).await?;
                Ok((bare, read))
            }
            read => Ok((bare, read?)),
        }
    }

    /// Returns the layout that is given, or else the tracker's own.
    fn known_layout(&self) -> Layout {
        let described = || self.description.as_ref().map(|given| given.layout.clone());
        self.layout.clone().or_else(described).unwrap_or_default()
    }

    /// Returns whether a read may have failed because the table has another primary key than the tracker's own.
    fn may_have_another_layout(&self, error: &Error) -> bool {
        let is_given = self.layout.is_some() || self.description.is_some();
        !is_given
            && matches!(error.kind(), ErrorKind::Service { code: Some(code) } if code == "ValidationException")
    }

    /// Returns a context without statuses.
    fn bare(&self, table: &str, use_case_id: &str, layout: Layout) -> Arc<Context> {
        static NO_ROWS: [StatusRow; 0] = [];
        static NO_STATUS: StatusTable =
            StatusTable { type_name: "", rows: &NO_ROWS, code_pad: 3, shard_pad: 3 };
        static BARE: TrackerSpec = spec("", "", &NO_STATUS);
        let config = TrackerConfig {
            table: table.to_owned().into(),
            use_case_id: use_case_id.to_owned().into(),
            layout,
            ..TrackerConfig::declared(&BARE)
        };
        self.context(config, UseCase::new(&BARE, use_case_id.to_owned()))
    }

    fn context(&self, config: TrackerConfig, use_case: UseCase) -> Arc<Context> {
        Context::new(&self.client, config, use_case, Arc::clone(&self.clock), self.note.by.clone(), None)
    }

    /// Returns the steps of a description, each after the steps before it.
    fn steps(&self, description: &Description, table: &str) -> Result<Vec<Step>, Error> {
        let invalid = |why: String| {
            let reason = format!("the description of `{}`: {why}", description.use_case_id);
            Error::new(ErrorKind::InvalidConfig { reason })
        };
        let specs = interned(description).map_err(invalid)?;
        let depth = |name: &str| std::iter::successors(specs.get(name).copied(), |spec| spec.after).count();
        let mut steps = Vec::new();
        for (name, step) in &description.steps {
            let Some(spec) = specs.get(name) else { continue };
            let config = TrackerConfig::described(description, step, spec, table);
            config.validate(&description.sep)?;
            let use_case = UseCase::new(spec, description.use_case_id.clone());
            steps.push(Step {
                name: name.clone(),
                aliases: Vec::new(),
                cx: self.context(config, use_case),
                read_shards: step.statuses.iter().map(|status| (status.code, status.most_shards)).collect(),
            });
        }
        steps.sort_by_key(|step| depth(&step.name));
        Ok(without_twins(steps))
    }
}

/// Returns as much of a table's layout as its primary key says, or the error of the read that made somebody ask.
async fn layout_of(cx: &Context, refused: Error) -> Result<Layout, Error> {
    let described = table::describe(cx).await?;
    let names: Vec<_> = described.key_schema().iter().map(KeySchemaElement::attribute_name).collect();
    match names[..] {
        [hash] if hash != KEY => Ok(Layout::of_primary_key(hash, None)),
        [hash, sort] => Ok(Layout::of_primary_key(hash, Some(sort))),
        _ => Err(refused),
    }
}

/// Makes one step of those with the same codes: a type was renamed, or two types work on the same tasks.
fn without_twins(steps: Vec<Step>) -> Vec<Step> {
    let mut kept: Vec<Step> = Vec::new();
    for step in steps {
        let is_own = |code: u32| step.statuses().any(|status| status.code() == code);
        match kept.iter_mut().find(|other| other.statuses().any(|status| is_own(status.code()))) {
            None => kept.push(step),
            Some(twin) => {
                for (code, shards) in step.read_shards {
                    let most = twin.read_shards.entry(code).or_insert(shards);
                    *most = shards.max(*most);
                }
                twin.aliases.push(step.name);
            }
        }
    }
    kept
}

impl fmt::Debug for OperatorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperatorBuilder")
            .field("table", &self.table)
            .field("use_case_id", &self.use_case_id)
            .field("read_only", &self.read_only)
            .finish_non_exhaustive()
    }
}
