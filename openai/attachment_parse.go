package openai

// attachmentFields is what is read of a part that may be an attachment. Clients
// write the same in several ways.
type attachmentFields struct {
	url      string // image_url and video_url: an object with url, or a bare string
	data     string // file_data, or the data of input_audio
	fileID   string
	filename string
	format   string // of audio
	info     fileInfo
}

// fileInfo is what the server has answered to an upload, sent back by the client.
// Only what names the file is read; what the server knows of it counts.
type fileInfo struct{ id, url string }

// attachmentField reads a field of a part.
func (p *parser) attachmentField(f *attachmentFields, name string) (err error) {
	switch name {
	case "image_url", "video_url":
		return p.urlField(f)
	case "input_audio", "file":
		return p.optional(func(name string) error { return p.fileField(f, name) })
	case "file_info":
		return p.fileInfoField(f)
	}
	return p.fileField(f, name)
}

// urlField reads the value of image_url or video_url.
func (p *parser) urlField(f *attachmentFields) (err error) {
	if p.dec.PeekKind() == '"' {
		f.url, err = p.string()
		return err
	}
	return p.optional(func(name string) (err error) {
		switch name {
		case "url":
			f.url, err = p.string()
		case "file_info":
			err = p.fileInfoField(f)
		default:
			err = p.skip()
		}
		return err
	})
}

// fileField reads a field of a file or of audio, which stand in an object of
// their own or in the part itself.
func (p *parser) fileField(f *attachmentFields, name string) (err error) {
	switch name {
	case "file_data", "data":
		f.data, err = p.string()
	case "file_id":
		f.fileID, err = p.identifier()
	case "file_url":
		f.url, err = p.string()
	case "filename":
		f.filename, err = p.string()
	case "format":
		f.format, err = p.identifier()
	case "file_info":
		err = p.fileInfoField(f)
	default:
		err = p.skip()
	}
	return err
}

func (p *parser) fileInfoField(f *attachmentFields) error {
	return p.optional(func(name string) (err error) {
		switch name {
		case "id", "file_id":
			f.info.id, err = p.identifier()
		case "url", "file_url":
			f.info.url, err = p.string()
		default:
			err = p.skip()
		}
		return err
	})
}

// attachmentKinds are the kinds of attachments by the types of parts.
var attachmentKinds = map[string]string{
	"image_url": AttachedImage, "input_image": AttachedImage, "video_url": AttachedVideo,
	"input_audio": AttachedAudio, "file": AttachedFile, "input_file": AttachedFile,
}

// contentFields are where the types of parts have their content.
var contentFields = map[string]string{
	"image_url": "image_url.url", "input_image": "image_url", "video_url": "video_url.url",
	"input_audio": "input_audio.data", "file": "file.file_data or file.file_id", "input_file": "file_data or file_id",
}

// attachment makes an attachment of a part of a type, whose path is given.
func (f *attachmentFields) attachment(kind, param string) (*Attachment, error) {
	a := &Attachment{Kind: attachmentKinds[kind], Param: param, Name: f.filename, FileID: f.fileID}
	if a.FileID == "" {
		a.FileID = f.info.id
	}
	url := f.url
	if url == "" {
		url = f.info.url
	}
	if a.Kind == AttachedAudio {
		a.MIME = audioType(f.format)
	}
	switch {
	case a.FileID != "":
		a.URL = "" // the id says it all
		return a, nil
	case f.data != "":
		return a, a.setData(f.data)
	case isDataURL(url):
		return a, a.setData(url)
	case url != "":
		a.URL = url
		return a, nil
	}
	return nil, fail(codeMissing, param, "%s is an attachment (%s) without content; its %s is missing or empty.", param, kind, contentFields[kind])
}

// audioType returns the media type of a format of input_audio.
func audioType(format string) string {
	switch format {
	case "":
		return ""
	case "mp3":
		return "audio/mpeg"
	}
	return "audio/" + format
}
