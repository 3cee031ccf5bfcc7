package filetype

// The types that are accepted and told by their bytes. The extensions of a type
// besides the usual one are in mediaExtensions.
var (
	jpeg = Type{Image, "image/jpeg", "jpg"}
	png  = Type{Image, "image/png", "png"}
	gif  = Type{Image, "image/gif", "gif"}
	webp = Type{Image, "image/webp", "webp"}
	bmp  = Type{Image, "image/bmp", "bmp"}
	tiff = Type{Image, "image/tiff", "tiff"}
	svg  = Type{Image, "image/svg+xml", "svg"}

	mp4  = Type{Video, "video/mp4", "mp4"}
	avi  = Type{Video, "video/x-msvideo", "avi"}
	mov  = Type{Video, "video/quicktime", "mov"}
	webm = Type{Video, "video/webm", "webm"}
	mkv  = Type{Video, "video/x-matroska", "mkv"}
	wmv  = Type{Video, "video/x-ms-wmv", "wmv"}
	flv  = Type{Video, "video/x-flv", "flv"}
	m4v  = Type{Video, "video/x-m4v", "m4v"}
	v3gp = Type{Video, "video/3gpp", "3gp"}
	m2ts = Type{Video, "video/mp2t", "m2ts"}

	mp3  = Type{Audio, "audio/mpeg", "mp3"}
	wav  = Type{Audio, "audio/wav", "wav"}
	m4a  = Type{Audio, "audio/mp4", "m4a"}
	aac  = Type{Audio, "audio/aac", "aac"}
	flac = Type{Audio, "audio/flac", "flac"}
	ogg  = Type{Audio, "audio/ogg", "ogg"}
	opus = Type{Audio, "audio/ogg", "opus"}
	amr  = Type{Audio, "audio/amr", "amr"}
)

// media are the accepted types that the library for magic bytes tells, by the
// MIME types it calls them. Containers that need a closer look are not here.
var media = map[string]Type{
	"image/jpeg": jpeg, "image/png": png, "image/apng": png, "image/gif": gif,
	"image/webp": webp, "image/bmp": bmp, "image/tiff": tiff,
	"video/webm": webm, "video/matroska": mkv, "video/x-flv": flv, "video/quicktime": mov,
	"video/x-msvideo": avi,
	"audio/mpeg":      mp3, "audio/wav": wav, "audio/aac": aac, "audio/flac": flac, "audio/amr": amr,
}

// documents are the accepted documents that are not text, by their extensions.
var documents = map[string]Type{
	"pdf":  {Document, "application/pdf", "pdf"},
	"doc":  {Document, "application/msword", "doc"},
	"xls":  {Document, "application/vnd.ms-excel", "xls"},
	"ppt":  {Document, "application/vnd.ms-powerpoint", "ppt"},
	"docx": {Document, "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"},
	"xlsx": {Document, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"},
	"pptx": {Document, "application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx"},
	"epub": {Document, "application/epub+zip", "epub"},
	"ofd":  {Document, "application/ofd", "ofd"},
}

// texts are the extensions of text, and their MIME types. All are documents.
var texts = map[string]string{
	"txt": "text/plain", "text": "text/plain", "log": "text/plain",
	"md": "text/markdown", "markdown": "text/markdown",
	"csv": "text/csv", "tsv": "text/tab-separated-values",
	"json": "application/json", "jsonl": "application/x-ndjson", "ndjson": "application/x-ndjson",
	"html": "text/html", "htm": "text/html", "xhtml": "application/xhtml+xml",
	"xml": "text/xml", "yaml": "application/yaml", "yml": "application/yaml", "toml": "application/toml",
	"ini": "text/plain", "conf": "text/plain", "cfg": "text/plain", "properties": "text/plain",
	"rst": "text/plain", "tex": "text/x-tex", "css": "text/css", "scss": "text/plain", "less": "text/plain",
	"js": "text/javascript", "mjs": "text/javascript", "cjs": "text/javascript",
	"ts": "text/plain", "tsx": "text/plain", "jsx": "text/plain", "vue": "text/plain", "svelte": "text/plain",
	"py": "text/x-python", "ipynb": "application/json", "go": "text/x-go", "rs": "text/x-rust",
	"c": "text/x-c", "h": "text/x-c", "cc": "text/x-c++", "cpp": "text/x-c++", "cxx": "text/x-c++", "hpp": "text/x-c++",
	"cs": "text/plain", "java": "text/x-java", "kt": "text/plain", "kts": "text/plain", "scala": "text/plain",
	"groovy": "text/plain", "gradle": "text/plain", "swift": "text/plain", "m": "text/plain", "mm": "text/plain",
	"dart": "text/plain", "php": "text/x-php", "rb": "text/x-ruby", "pl": "text/x-perl", "lua": "text/x-lua",
	"r": "text/plain", "jl": "text/plain", "hs": "text/plain", "ex": "text/plain", "exs": "text/plain",
	"erl": "text/plain", "clj": "text/plain", "fs": "text/plain", "vb": "text/plain", "pas": "text/plain",
	"asm": "text/plain", "s": "text/plain", "sql": "application/sql", "sh": "text/x-shellscript",
	"bash": "text/x-shellscript", "zsh": "text/x-shellscript", "fish": "text/plain", "bat": "text/plain",
	"cmd": "text/plain", "ps1": "text/plain", "proto": "text/plain", "graphql": "text/plain",
	"cmake": "text/plain", "mk": "text/plain", "diff": "text/x-diff", "patch": "text/x-diff",
	"srt": "text/plain", "vtt": "text/vtt",
}

// mediaExtensions are the extensions that stand for a kind, also of types that
// are not accepted. The extension ts is not one of them: it stands for videos
// and for TypeScript.
var mediaExtensions = map[string]Kind{
	"jpg": Image, "jpeg": Image, "jpe": Image, "jfif": Image, "png": Image, "apng": Image, "gif": Image, "webp": Image,
	"bmp": Image, "tif": Image, "tiff": Image, "svg": Image, "heic": Image, "heif": Image, "avif": Image, "ico": Image,
	"mp4": Video, "avi": Video, "mov": Video, "qt": Video, "webm": Video, "mkv": Video, "wmv": Video, "flv": Video,
	"m4v": Video, "3gp": Video, "3gpp": Video, "m2ts": Video, "mts": Video, "mpg": Video, "mpeg": Video, "ogv": Video,
	"mp3": Audio, "wav": Audio, "m4a": Audio, "m4b": Audio, "aac": Audio, "flac": Audio, "ogg": Audio, "oga": Audio,
	"opus": Audio, "amr": Audio, "wma": Audio, "weba": Audio, "mka": Audio,
}
