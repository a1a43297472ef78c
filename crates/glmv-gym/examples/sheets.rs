//! Contact sheets of every domain, one PNG each: `sheets DIR [SIDE] [PER_LEVEL]`.

use glmv_gym::{Domain, Item, LEVELS, Size, Split, generate, sheet};
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().unwrap_or_else(|| "sheets".into()));
    let side = args.next().map_or(Ok(112), |s| s.parse())?;
    let per_level: u64 = args.next().map_or(Ok(6), |s| s.parse())?;
    std::fs::create_dir_all(&dir)?;
    for domain in Domain::ALL {
        let mut items: Vec<Item> = Vec::new();
        for level in 1..=LEVELS {
            for offset in 0..per_level {
                let seed = Split::Validation.seed(offset)?;
                items.push(generate(domain, level, seed, Size { side })?);
            }
        }
        let path = dir.join(format!("{}.png", domain.name()));
        sheet::sheet(&items, per_level as usize)?.save(&path)?;
        println!("{}", path.display());
    }
    Ok(())
}
