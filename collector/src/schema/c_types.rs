//! What the safe binding of libyang does not reach: the parts of a compiled type. The only unsafe code of this project.
//!
//! Everything read here belongs to the context, which nobody changes once a schema is compiled; `SchemaLeafType` borrows it,
//! so that no pointer outlives it. All of it is copied. It runs in the worker process alone.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char};

use yang5::ffi;
use yang5::schema::{DataValueType, SchemaLeafType};

use super::leaf_type::LeafType;

/// Identities that one type may name.
const MAX_IDENTITIES: usize = 65_536;

/// The items of a sized array of libyang; its length stands before them (`LY_ARRAY_COUNT`).
///
/// # Safety
/// `array` is null or a sized array of the library whose items are of type `T`, and outlives the slice.
unsafe fn items<'a, T>(array: *const T) -> &'a [T] {
    if array.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise; `LY_ARRAY_COUNT_TYPE` is 64 bits wide and stands directly before the first item.
    unsafe {
        let count = array.cast::<u64>().sub(1).read_unaligned();
        std::slice::from_raw_parts(array, usize::try_from(count).unwrap_or(0))
    }
}

/// # Safety
/// `text` is null or ends in a zero byte.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// A number for the library's code behind a type: equal for equal code, whatever the typedefs are called.
pub(super) fn plugin(of: &SchemaLeafType<'_>) -> usize {
    // SAFETY: a compiled type of a living context.
    unsafe { (*of.as_raw()).plugin_ref }
}

/// The type without what `special` already knows by [`plugin`].
pub(super) fn describe(of: &SchemaLeafType<'_>, special: &impl Fn(usize) -> Option<LeafType>) -> LeafType {
    // SAFETY: a compiled type of a living context.
    unsafe { of_raw(of.as_raw(), special, 0) }
}

/// Unions in unions and leafrefs to leafrefs are compiled away; this only bounds what a mistake could do.
const MAX_DEPTH: usize = 16;

/// # Safety
/// `raw` is a compiled type of a living context.
unsafe fn of_raw(
    raw: *const ffi::lysc_type,
    special: &impl Fn(usize) -> Option<LeafType>,
    depth: usize,
) -> LeafType {
    let kept = LeafType::Text { free: false };
    if raw.is_null() || depth > MAX_DEPTH {
        return kept;
    }
    // SAFETY: for every read below: `raw` is a living compiled type, and its base type says which structure it is.
    unsafe {
        if let Some(known) = special((*raw).plugin_ref) {
            return known;
        }
        let base = (*raw).basetype;
        let is = |wanted: DataValueType| base == wanted as ffi::LY_DATA_TYPE::Type;
        if is(DataValueType::String) {
            let of = raw.cast::<ffi::lysc_type_str>();
            LeafType::Text { free: (*of).length.is_null() && items((*of).patterns).is_empty() }
        } else if is(DataValueType::Bool) {
            LeafType::Word(vec!["true".to_owned(), "false".to_owned()])
        } else if is(DataValueType::Enum) {
            let of = raw.cast::<ffi::lysc_type_enum>();
            LeafType::Word(items((*of).enums).iter().map(|item| text(item.name)).collect())
        } else if is(DataValueType::Bits) {
            let of = raw.cast::<ffi::lysc_type_bits>();
            LeafType::Bits(items((*of).bits).iter().map(|item| text(item.name)).collect())
        } else if is(DataValueType::Empty) {
            LeafType::Empty
        } else if is(DataValueType::Binary) {
            LeafType::Binary
        } else if is(DataValueType::InstanceId) {
            LeafType::InstanceIdentifier
        } else if is(DataValueType::IdentityRef) {
            let of = raw.cast::<ffi::lysc_type_identityref>();
            LeafType::Identity(identities(items((*of).bases)))
        } else if is(DataValueType::LeafRef) {
            of_raw((*raw.cast::<ffi::lysc_type_leafref>()).realtype, special, depth + 1)
        } else if is(DataValueType::Union) {
            let members = items((*raw.cast::<ffi::lysc_type_union>()).types);
            LeafType::Union(members.iter().map(|member| of_raw(*member, special, depth + 1)).collect())
        } else if is(DataValueType::Dec64) {
            let of = raw.cast::<ffi::lysc_type_dec>();
            let ranges = signed((*of).range, i64::MIN, i64::MAX);
            LeafType::Decimal { digits: (*of).fraction_digits, ranges }
        } else {
            integer(raw, base).unwrap_or(kept)
        }
    }
}

/// # Safety
/// As [`of_raw`]; `base` is its base type.
unsafe fn integer(raw: *const ffi::lysc_type, base: ffi::LY_DATA_TYPE::Type) -> Option<LeafType> {
    use ffi::LY_DATA_TYPE::{
        LY_TYPE_INT8, LY_TYPE_INT16, LY_TYPE_INT32, LY_TYPE_INT64, LY_TYPE_UINT8, LY_TYPE_UINT16,
        LY_TYPE_UINT32, LY_TYPE_UINT64,
    };
    // SAFETY: all integers have this structure.
    let range = unsafe { (*raw.cast::<ffi::lysc_type_num>()).range };
    let wide = |ranges: Vec<(i64, i64)>| {
        ranges.into_iter().map(|(min, max)| (i128::from(min), i128::from(max))).collect()
    };
    // SAFETY: the range of a compiled type of this sign.
    let ranges = unsafe {
        match base {
            LY_TYPE_INT8 => wide(signed(range, i8::MIN.into(), i8::MAX.into())),
            LY_TYPE_INT16 => wide(signed(range, i16::MIN.into(), i16::MAX.into())),
            LY_TYPE_INT32 => wide(signed(range, i32::MIN.into(), i32::MAX.into())),
            LY_TYPE_INT64 => wide(signed(range, i64::MIN, i64::MAX)),
            LY_TYPE_UINT8 => unsigned(range, u8::MAX.into()),
            LY_TYPE_UINT16 => unsigned(range, u16::MAX.into()),
            LY_TYPE_UINT32 => unsigned(range, u32::MAX.into()),
            LY_TYPE_UINT64 => unsigned(range, u64::MAX),
            _ => return None,
        }
    };
    Some(LeafType::Integer(ranges))
}

/// # Safety
/// `range` is null or of a compiled type with signed numbers.
unsafe fn signed(range: *const ffi::lysc_range, min: i64, max: i64) -> Vec<(i64, i64)> {
    if range.is_null() {
        return vec![(min, max)];
    }
    // SAFETY: the caller's promise says which members of the unions were written.
    unsafe {
        let parts = items((*range).parts);
        parts.iter().map(|part| (part.__bindgen_anon_1.min_64, part.__bindgen_anon_2.max_64)).collect()
    }
}

/// # Safety
/// `range` is null or of a compiled type with unsigned numbers.
unsafe fn unsigned(range: *const ffi::lysc_range, max: u64) -> Vec<(i128, i128)> {
    if range.is_null() {
        return vec![(0, i128::from(max))];
    }
    // SAFETY: as in `signed`.
    unsafe {
        let parts = items((*range).parts);
        let part = |part: &ffi::lysc_range_lysc_range_part| {
            (i128::from(part.__bindgen_anon_1.min_u64), i128::from(part.__bindgen_anon_2.max_u64))
        };
        parts.iter().map(part).collect()
    }
}

/// All identities derived from one of these, as `module:name`, sorted.
///
/// # Safety
/// `bases` are identities of a living context.
unsafe fn identities(bases: &[*mut ffi::lysc_ident]) -> Vec<String> {
    let mut names = std::collections::BTreeSet::new();
    let mut open: Vec<*mut ffi::lysc_ident> = bases.to_vec();
    let mut seen = std::collections::HashSet::new();
    // SAFETY: identities of a living context point to others and to their modules.
    unsafe {
        while let Some(base) = open.pop() {
            if base.is_null() || !seen.insert(base) || seen.len() > MAX_IDENTITIES {
                continue;
            }
            for derived in items((*base).derived) {
                let module = (**derived).module;
                names.insert(format!("{}:{}", text((*module).name), text((**derived).name)));
                open.push(*derived);
            }
        }
    }
    names.into_iter().collect()
}
