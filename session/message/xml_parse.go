package message

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Parse makes m the message that is all of p.
func (f XML) Parse(p []byte, m *Message) error {
	m.Reset()
	r := xmlReader{budget: f.Limits.Budget()}
	err := r.budget.Bytes(len(p))
	offset := 0
	if err == nil {
		offset, err = checkTags(p)
	}
	if err == nil {
		r.in = xml.NewDecoder(bytes.NewReader(p))
		err = r.document(m)
		offset = int(r.in.InputOffset())
	}
	if err != nil {
		m.Reset()
		return &FormatError{Format: "xml", Parse: true, Offset: offset, Err: err}
	}
	return nil
}

// attributesMax is how many attributes an element may have: as many as are known.
const attributesMax = 6

// checkTags refuses elements with too many attributes, before the decoder takes memory for
// them: ten times what they are long. Where p is not XML it may overlook some, but the decoder
// does not get there.
func checkTags(p []byte) (offset int, err error) {
	for at := 0; ; {
		next := bytes.IndexByte(p[at:], '<')
		if next < 0 {
			return at, nil
		}
		at += next
		skipped := false
		for _, s := range [...][2]string{{"<!--", "-->"}, {"<![CDATA[", "]]>"}, {"<?", "?>"}} {
			if !skipped && bytes.HasPrefix(p[at:], []byte(s[0])) {
				end := bytes.Index(p[at+len(s[0]):], []byte(s[1]))
				if end < 0 {
					return at, nil
				}
				at += len(s[0]) + end + len(s[1])
				skipped = true
			}
		}
		if !skipped {
			if at, err = checkTag(p, at+1); err != nil {
				return at, err
			}
		}
	}
}

// checkTag goes from behind a tag's first character to behind its last one.
func checkTag(p []byte, at int) (int, error) {
	attributes := 0
	var inside byte // the quotation mark that ends a value
	for ; at < len(p); at++ {
		switch c := p[at]; {
		case inside != 0:
			if c == inside {
				inside = 0
			}
		case c == '"' || c == '\'':
			inside = c
		case c == '=':
			if attributes++; attributes > attributesMax {
				return at, fmt.Errorf("more than %d attributes", attributesMax)
			}
		case c == '>':
			return at + 1, nil
		}
	}
	return at, nil
}

// xmlReader makes values of what the standard library's decoder finds: tags that match, and
// texts that are UTF-8 and have only characters that XML allows.
type xmlReader struct {
	budget Budget
	in     *xml.Decoder
}

// next returns the next opening tag, true, or nothing, false, at the closing tag of where r is.
// Only spaces may stand before it.
func (r *xmlReader) next() (xml.StartElement, bool, error) {
	for {
		token, err := r.in.Token()
		if err != nil {
			return xml.StartElement{}, false, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			return t, true, plain(t)
		case xml.EndElement:
			return xml.StartElement{}, false, nil
		case xml.CharData:
			if text := strings.Trim(string(t), " \t\r\n"); text != "" {
				return xml.StartElement{}, false, fmt.Errorf("text %s between elements", quote(text))
			}
		case xml.Directive:
			return xml.StartElement{}, false, errors.New("document type declaration")
		}
	}
}

// plain refuses namespaces and attributes that are there twice, which the decoder takes.
func plain(t xml.StartElement) error {
	if t.Name.Space != "" {
		return fmt.Errorf("element %s of a namespace", quote(t.Name.Local))
	}
	for i, a := range t.Attr {
		if a.Name.Space != "" || a.Name.Local == "xmlns" {
			return fmt.Errorf("attribute %s of a namespace", quote(a.Name.Local))
		}
		for _, other := range t.Attr[:i] {
			if other.Name == a.Name {
				return fmt.Errorf("attribute %s twice", quote(a.Name.Local))
			}
		}
	}
	return nil
}

// text returns what stands up to the closing tag, without elements.
func (r *xmlReader) text() (string, error) {
	var all []byte
	for {
		token, err := r.in.Token()
		if err != nil {
			return "", err
		}
		switch t := token.(type) {
		case xml.CharData:
			all = append(all, t...)
		case xml.StartElement:
			return "", fmt.Errorf("element %s within a text", quote(t.Name.Local))
		case xml.EndElement:
			return string(all), nil
		case xml.Directive:
			return "", errors.New("document type declaration")
		}
	}
}

func (r *xmlReader) document(m *Message) error {
	root, ok, err := r.next()
	switch {
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	case !ok || root.Name.Local != "message":
		return fmt.Errorf("element %s, want \"message\"", quote(root.Name.Local))
	}
	for _, a := range root.Attr {
		if err := m.attribute(a.Name.Local, a.Value); err != nil {
			return fmt.Errorf("attribute %s: %w", quote(a.Name.Local), err)
		}
	}
	if err := m.Header.Check(); err != nil {
		return err
	}
	if err := r.values(&m.Values); err != nil {
		return err
	}
	switch after, ok, err := r.next(); {
	case err == io.EOF:
		return nil
	case err != nil:
		return err
	case ok:
		return fmt.Errorf("element %s behind the message", quote(after.Name.Local))
	}
	return errors.New("a closing tag behind the message")
}

// attribute takes one of the envelope's.
func (m *Message) attribute(name, text string) (err error) {
	switch name {
	case "kind":
		kind, ok := KindOf(text)
		if !ok {
			return fmt.Errorf("%s is no kind", quote(text))
		}
		m.Kind = kind
	case "type":
		m.Type = text
	case "source":
		m.Source = text
	case "target":
		m.Target = text
	case "correlation":
		m.Correlation, err = parseUint(text, 64)
	case "version":
		var version uint64
		version, err = parseUint(text, 32)
		m.Version = uint32(version)
	default:
		return errors.New("unknown")
	}
	return err
}

// values takes elements with keys, up to the closing tag.
func (r *xmlReader) values(v *Values) error {
	for {
		t, more, err := r.next()
		if err != nil || !more {
			return err
		}
		key, ok := take(&t, "key")
		if !ok {
			return fmt.Errorf("element %s has no key", quote(t.Name.Local))
		}
		err = r.budget.Values(1)
		if err == nil {
			var value Value
			if value, err = r.value(t); err == nil {
				err = v.Add(key, value)
			}
		}
		if err != nil {
			return AtKey(key, err)
		}
	}
}

// take takes an attribute away from t.
func take(t *xml.StartElement, name string) (string, bool) {
	for i, a := range t.Attr {
		if a.Name.Local == name {
			t.Attr = append(t.Attr[:i:i], t.Attr[i+1:]...)
			return a.Value, true
		}
	}
	return "", false
}

// value takes the element that t opens, whose key is gone.
func (r *xmlReader) value(t xml.StartElement) (v Value, err error) {
	bits, isBits := "", false
	encoding, isEncoded := "", false
	switch t.Name.Local {
	case "float":
		bits, isBits = take(&t, "bits")
	case "string":
		encoding, isEncoded = take(&t, "encoding")
	}
	if len(t.Attr) > 0 {
		return v, fmt.Errorf("unknown attribute %s", quote(t.Attr[0].Name.Local))
	}
	switch t.Name.Local {
	case "values":
		v = Nested(nil)
		err = r.enter(func() error { return r.values(v.nested) })
		return v, err
	case "array":
		v = Array()
		err = r.enter(func() error { return r.array(v.items) })
		return v, err
	}
	text, err := r.text()
	if err != nil {
		return v, err
	}
	switch {
	case isBits && text != "":
		return v, errors.New("a float with bits, and a text")
	case isBits:
		return parseBits(bits)
	case isEncoded && encoding != "base64":
		return v, fmt.Errorf("encoding %s, must be \"base64\"", quote(encoding))
	case isEncoded:
		return parseBase64(text, TypeString)
	}
	return scalar(t.Name.Local, text)
}

// scalar reads the text of an element.
func scalar(typ, text string) (v Value, err error) {
	switch typ {
	case "null":
		if text != "" {
			return v, fmt.Errorf("null with text %s", quote(text))
		}
		return v, nil
	case "bool":
		if text != "true" && text != "false" {
			return v, fmt.Errorf("bool %s, must be \"true\" or \"false\"", quote(text))
		}
		return Bool(text == "true"), nil
	case "int":
		n, err := parseInt(text)
		return Int(n), err
	case "uint":
		n, err := parseUint(text, 64)
		return Uint(n), err
	case "float":
		return parseFloat(text)
	case "string":
		return String(text), nil
	case "bytes":
		return parseBase64(text, TypeBytes)
	}
	return v, fmt.Errorf("unknown element %s", quote(typ))
}

// parseFloat reads a decimal number, which must have 64-bit float's size.
func parseFloat(s string) (Value, error) {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && !strings.ContainsRune("+-.eE", rune(c)) {
			return Value{}, fmt.Errorf("%s is no decimal number", quote(s))
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return Value{}, fmt.Errorf("%s is no float of 64 bits", quote(s))
	}
	return Float(f), nil
}

// enter reads what lies one deeper.
func (r *xmlReader) enter(read func() error) error {
	if err := r.budget.Enter(); err != nil {
		return err
	}
	err := read()
	r.budget.Leave()
	return err
}

// array takes elements without keys, up to the closing tag.
func (r *xmlReader) array(items *[]Value) error {
	for {
		t, more, err := r.next()
		if err != nil || !more {
			return err
		}
		var item Value
		err = r.budget.Values(1)
		if err == nil {
			item, err = r.value(t)
		}
		if err != nil {
			return AtIndex(len(*items), err)
		}
		*items = append(*items, item)
	}
}
