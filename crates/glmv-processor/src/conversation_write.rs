//! Conversations to OpenAI-shaped JSON. Called by the command line and data writers.

use image::{ImageFormat, RgbImage};
use serde_json::{Value, json};

use crate::base64;
use crate::conversation::{Conversation, ImageSource, Message, Part, VideoSource};
use crate::error::Error;

impl Conversation {
    /// The conversation as `{"messages": [..]}`, with `tools` when there are any;
    /// [`Self::from_json`] reads it back. Pictures and frames held in memory are written as PNG in
    /// base64.
    ///
    /// # Errors
    /// [`Error::Image`] when a picture in memory cannot be written as PNG (it has no pixels).
    pub fn to_json(&self) -> Result<Value, Error> {
        let messages: Vec<Value> = self
            .messages
            .iter()
            .map(message_json)
            .collect::<Result<_, _>>()?;
        let mut out = json!({ "messages": messages });
        if let Some(tools) = &self.tools {
            out["tools"] = tools.clone();
        }
        Ok(out)
    }
}

fn message_json(message: &Message) -> Result<Value, Error> {
    let content = match message.parts.as_slice() {
        [] => Value::Null,
        [Part::Text(text)] => Value::from(text.as_str()),
        parts => Value::Array(parts.iter().map(part_json).collect::<Result<_, _>>()?),
    };
    Ok(message.with_content(content))
}

fn part_json(part: &Part) -> Result<Value, Error> {
    let image = |url: String| json!({"type": "image_url", "image_url": {"url": url}});
    Ok(match part {
        Part::Text(text) => json!({"type": "text", "text": text}),
        Part::Image(ImageSource::Path(path)) => image(format!("file://{}", path.display())),
        Part::Image(ImageSource::Bytes(bytes)) => {
            let kind =
                image::guess_format(bytes).map_or("application/octet-stream", |f| f.to_mime_type());
            image(format!("data:{kind};base64,{}", base64::encode(bytes)))
        }
        Part::Image(ImageSource::Rgb(picture)) => image(png_address(picture)?),
        Part::Video(VideoSource::Path(path)) => {
            json!({"type": "video_url", "video_url": {"url": format!("file://{}", path.display())}})
        }
        Part::Video(VideoSource::Frames {
            frames,
            fps,
            duration_secs,
        }) => {
            let frames: Vec<String> = frames.iter().map(png_address).collect::<Result<_, _>>()?;
            json!({"type": "video", "frames": frames, "fps": fps, "duration": duration_secs})
        }
    })
}

fn png_address(picture: &RgbImage) -> Result<String, Error> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, ImageFormat::Png)
        .map_err(|e| Error::image("given as pixels", e))?;
    Ok(format!(
        "data:image/png;base64,{}",
        base64::encode(bytes.get_ref())
    ))
}
