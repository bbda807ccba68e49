//! Why an expression has no value: then a rule is indeterminate, never passed.

use std::fmt;

use model::Text;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The object has no such attribute.
    Missing {
        object: String,
        attribute: String,
    },
    /// The text on the device is not what the attribute holds.
    Unreadable {
        attribute: String,
        text: String,
        kind: String,
    },
    /// A neighbour that no snapshot is there of.
    UnknownNeighbour {
        dn: String,
    },
    /// The relations of the cell are not in sight.
    NoRelations,
    /// The agreement has no line for this object.
    NotAgreed {
        what: String,
    },
    /// What is needed is null.
    Null {
        what: String,
    },
    Overflow {
        operation: &'static str,
    },
    DivisionByZero,
    OutOfRange {
        index: i64,
        length: usize,
    },
    NotConvertible {
        text: String,
        to: &'static str,
    },
    /// NR-ARFCN are 0 to 3279165 (TS 38.104 §5.4.2.1).
    NotAnArfcn {
        number: i64,
    },
    /// The budget of steps is used up. Nothing makes up for it, not even the other side of `||`.
    Budget,
}

/// Trouble on its way up: rare and large, and so kept out of every result.
pub(crate) type Fail = Box<Trouble>;

impl Trouble {
    /// A value of another type than was checked can only be null.
    pub fn null(node: &super::node::Node) -> Trouble {
        Trouble::Null { what: node.to_string() }
    }

    pub fn text(&self) -> Text {
        Text::new(self.to_string(), self.chinese())
    }

    fn chinese(&self) -> String {
        match self {
            Trouble::Missing { object, attribute } => format!("{object} 没有属性 {attribute}"),
            Trouble::Unreadable { attribute, text, kind } => {
                format!("{attribute} 的值 `{text}` 不是 {kind}")
            }
            Trouble::UnknownNeighbour { dn } => format!("没有邻区 {dn} 的快照"),
            Trouble::NoRelations => "无法得知该小区的邻区关系".into(),
            Trouble::NotAgreed { what } => format!("协议未对该对象规定 {what}"),
            Trouble::Null { what } => format!("{what} 为 null"),
            Trouble::Overflow { operation } => format!("`{operation}` 的结果超出 64 位整数"),
            Trouble::DivisionByZero => "除数为零".into(),
            Trouble::OutOfRange { index, length } => format!("列表长度为 {length}，没有下标 {index}"),
            Trouble::NotConvertible { text, to } => format!("`{text}` 不是 {to}"),
            Trouble::NotAnArfcn { number } => format!("{number} 不是 NR-ARFCN（0 至 3279165）"),
            Trouble::Budget => "规则超出计算步数上限".into(),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Missing { object, attribute } => write!(f, "{object} has no {attribute}"),
            Trouble::Unreadable { attribute, text, kind } => {
                write!(f, "{attribute} is `{text}`, which is not {kind}")
            }
            Trouble::UnknownNeighbour { dn } => write!(f, "no snapshot of the neighbour {dn} is there"),
            Trouble::NoRelations => f.write_str("the relations of this cell are not in sight"),
            Trouble::NotAgreed { what } => write!(f, "the agreement has no {what} for this object"),
            Trouble::Null { what } => write!(f, "{what} is null"),
            Trouble::Overflow { operation } => write!(f, "the result of `{operation}` exceeds 64 bits"),
            Trouble::DivisionByZero => f.write_str("division by zero"),
            Trouble::OutOfRange { index, length } => {
                write!(f, "a list of {length} has no element {index}")
            }
            Trouble::NotConvertible { text, to } => write!(f, "`{text}` is not {to}"),
            Trouble::NotAnArfcn { number } => write!(f, "{number} is no NR-ARFCN (0 to 3279165)"),
            Trouble::Budget => f.write_str("the rule exceeds its budget of steps"),
        }
    }
}
