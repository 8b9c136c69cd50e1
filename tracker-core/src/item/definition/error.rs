//! Why a table cannot be defined.

/// Why a table cannot be defined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// There is no description.
    #[error("no use case is given; pass the description of at least one")]
    NoUseCase,
    /// No declaration names the table.
    #[error("no declaration names the table; call `named`")]
    NoName,
    /// The declarations name several tables.
    #[error("the use cases are in several tables, {}; define each on its own, or call `named`", .0.join(" and "))]
    SeveralTables(Vec<String>),
    /// DynamoDB allows no such name.
    #[error(
        "`{}` cannot be the name of a table, an index or an attribute; use letters, digits, `_`, `-` and `.`, and 3 to 255 of them for a table or an index",
        crate::escaped::Escaped(.0)
    )]
    InvalidName(String),
    /// A layout cannot be used.
    #[error("the layout of a use case cannot be used: {0}")]
    InvalidLayout(String),
    /// The use cases cannot be in one table, because their layouts differ in this.
    #[error("the layouts of the use cases have different {0}; give them one layout, or a table each")]
    DifferentLayouts(String),
}
