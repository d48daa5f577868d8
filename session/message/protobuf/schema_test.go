package protobuf_test

// message.proto is what we write: the library, which is given the schema, reads and writes the
// same messages.

import (
	"bytes"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/weirnet/weir/session/message"
	"github.com/weirnet/weir/session/message/messagetest"
	"github.com/weirnet/weir/session/message/protobuf"
)

var scalars = map[string]descriptorpb.FieldDescriptorProto_Type{
	"bool":   descriptorpb.FieldDescriptorProto_TYPE_BOOL,
	"sint64": descriptorpb.FieldDescriptorProto_TYPE_SINT64,
	"uint64": descriptorpb.FieldDescriptorProto_TYPE_UINT64,
	"uint32": descriptorpb.FieldDescriptorProto_TYPE_UINT32,
	"double": descriptorpb.FieldDescriptorProto_TYPE_DOUBLE,
	"string": descriptorpb.FieldDescriptorProto_TYPE_STRING,
	"bytes":  descriptorpb.FieldDescriptorProto_TYPE_BYTES,
}

// schema reads message.proto, as much of the language as is used there, a line at a time, and
// returns what it says of Message.
func schema(t testing.TB) protoreflect.MessageDescriptor {
	t.Helper()
	text, err := os.ReadFile("message.proto")
	if err != nil {
		t.Fatal(err)
	}
	file := &descriptorpb.FileDescriptorProto{Name: proto.String("message.proto")}
	var in *descriptorpb.DescriptorProto
	var enum *descriptorpb.EnumDescriptorProto
	var oneof *int32
	statement := regexp.MustCompile(`^(?:(repeated) )?(\w+) (\w+) = (\d+);$`)
	constant := regexp.MustCompile(`^(\w+) = (\d+);$`)
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "//")
		line = strings.TrimSpace(line)
		words := strings.Fields(line)
		switch field, value := statement.FindStringSubmatch(line), constant.FindStringSubmatch(line); {
		case line == "":
		case words[0] == "syntax":
			file.Syntax = proto.String(strings.Trim(words[2], `";`))
		case words[0] == "package":
			file.Package = proto.String(strings.Trim(words[1], ";"))
		case words[0] == "message":
			in = &descriptorpb.DescriptorProto{Name: &words[1]}
			file.MessageType = append(file.MessageType, in)
		case words[0] == "enum":
			enum = &descriptorpb.EnumDescriptorProto{Name: &words[1]}
			file.EnumType = append(file.EnumType, enum)
		case words[0] == "oneof":
			in.OneofDecl = append(in.OneofDecl, &descriptorpb.OneofDescriptorProto{Name: &words[1]})
			oneof = proto.Int32(int32(len(in.OneofDecl) - 1))
		case line == "}" && oneof != nil:
			oneof = nil
		case line == "}":
			in, enum = nil, nil
		case enum != nil && value != nil:
			enum.Value = append(enum.Value, &descriptorpb.EnumValueDescriptorProto{Name: &value[1], Number: number(t, value[2])})
		case in != nil && field != nil:
			f := &descriptorpb.FieldDescriptorProto{Name: &field[3], Number: number(t, field[4]), OneofIndex: oneof}
			f.Label = descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()
			if field[1] != "" {
				f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
			}
			if scalar, ok := scalars[field[2]]; ok {
				f.Type = scalar.Enum()
			} else {
				f.TypeName = proto.String("." + file.GetPackage() + "." + field[2])
			}
			in.Field = append(in.Field, f)
		default:
			t.Fatalf("message.proto has %q, which this test does not know", line)
		}
	}
	described, err := protodesc.NewFile(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	return described.Messages().ByName("Message")
}

func number(t testing.TB, digits string) *int32 {
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return proto.Int32(int32(n))
}

// object is a message of the library's, with fields by name.
type object struct{ protoreflect.Message }

func (o object) field(name string) protoreflect.FieldDescriptor {
	return o.Descriptor().Fields().ByName(protoreflect.Name(name))
}

func (o object) get(name string) protoreflect.Value { return o.Get(o.field(name)) }

func (o object) set(name string, value any) { o.Set(o.field(name), protoreflect.ValueOf(value)) }

func (o object) within(name string) object { return object{o.Mutable(o.field(name)).Message()} }

// add adds an element to a list.
func (o object) add(name string) object {
	return object{o.Mutable(o.field(name)).List().AppendMutable().Message()}
}

// elements returns a list's.
func (o object) elements(name string) (all []object) {
	list := o.get(name).List()
	for i := range list.Len() {
		all = append(all, object{list.Get(i).Message()})
	}
	return all
}

// toObject makes the library's message of ours.
func toObject(described protoreflect.MessageDescriptor, m *message.Message) object {
	o := object{dynamicpb.NewMessage(described)}
	o.set("kind", protoreflect.EnumNumber(m.Kind))
	o.set("type", m.Type)
	o.set("source", m.Source)
	o.set("target", m.Target)
	o.set("correlation", m.Correlation)
	o.set("version", m.Version)
	setValues(o, &m.Values)
	return o
}

func setValues(o object, v *message.Values) {
	for key, value := range v.All() {
		entry := o.add("values")
		entry.set("key", key)
		setValue(entry.within("value"), value)
	}
}

func setValue(o object, v message.Value) {
	switch v.Type() {
	case message.TypeBool:
		b, _ := v.AsBool()
		o.set("bool", b)
	case message.TypeInt:
		n, _ := v.AsInt()
		o.set("int", n)
	case message.TypeUint:
		n, _ := v.AsUint()
		o.set("uint", n)
	case message.TypeFloat:
		x, _ := v.AsFloat()
		o.set("float", x)
	case message.TypeString:
		if s := v.Text(); strings.ToValidUTF8(s, "") != s {
			o.set("string_bytes", []byte(s))
		} else {
			o.set("string", s)
		}
	case message.TypeBytes:
		o.set("bytes", []byte(v.Text()))
	case message.TypeValues:
		nested, _ := v.AsValues()
		setValues(o.within("nested"), nested)
	case message.TypeArray:
		items, _ := v.AsArray()
		array := o.within("array")
		for _, item := range items {
			setValue(array.add("items"), item)
		}
	}
}

// fromObject makes our message of the library's.
func fromObject(t testing.TB, o object) *message.Message {
	m := &message.Message{}
	m.Kind = message.Kind(o.get("kind").Enum())
	m.Type, m.Source, m.Target = o.get("type").String(), o.get("source").String(), o.get("target").String()
	m.Correlation, m.Version = o.get("correlation").Uint(), uint32(o.get("version").Uint())
	getValues(t, o, &m.Values)
	return m
}

func getValues(t testing.TB, o object, to *message.Values) {
	for _, entry := range o.elements("values") {
		to.Set(entry.get("key").String(), getValue(t, entry.within("value")))
	}
}

func getValue(t testing.TB, o object) message.Value {
	is := o.WhichOneof(o.Descriptor().Oneofs().ByName("is"))
	if is == nil {
		return message.Null()
	}
	v := o.Get(is)
	switch is.Name() {
	case "bool":
		return message.Bool(v.Bool())
	case "int":
		return message.Int(v.Int())
	case "uint":
		return message.Uint(v.Uint())
	case "float":
		return message.Float(v.Float())
	case "string":
		return message.String(v.String())
	case "string_bytes":
		return message.String(string(v.Bytes()))
	case "bytes":
		return message.Bytes(v.Bytes())
	case "nested":
		nested := new(message.Values)
		getValues(t, object{v.Message()}, nested)
		return message.Nested(nested)
	case "array":
		var items []message.Value
		for _, item := range (object{v.Message()}).elements("items") {
			items = append(items, getValue(t, item))
		}
		return message.Array(items...)
	}
	t.Fatalf("the schema has a kind of value that this test does not know: %s", is.Name())
	return message.Null()
}

// both checks that the library and the Format write the same bytes, and each reads them.
func both(t testing.TB, described protoreflect.MessageDescriptor, m *message.Message) {
	t.Helper()
	ours := messagetest.Encode(t, protobuf.Format{}, m)
	theirs, err := proto.MarshalOptions{Deterministic: true}.Marshal(toObject(described, m).Interface())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(ours, theirs) {
		t.Errorf("we write %x, the library %x", ours, theirs)
	}
	messagetest.CheckParse(t, protobuf.Format{}, theirs, m)
	o := object{dynamicpb.NewMessage(described)}
	if err := proto.Unmarshal(ours, o.Interface()); err != nil {
		t.Fatal(err)
	}
	if got := fromObject(t, o); !got.Equal(m) || len(o.GetUnknown()) > 0 {
		t.Errorf("the library reads %v: %s", got, messagetest.Difference(m, got))
	}
}

func TestProtobufSchema(t *testing.T) {
	described := schema(t)
	for _, n := range messagetest.Messages() {
		t.Run(n.Name, func(t *testing.T) { both(t, described, n.Message) })
	}
}

// FuzzProtobufSchema has the library judge: of messages as we make them, and of bytes that we
// take, which the library takes too, and for the same message.
func FuzzProtobufSchema(f *testing.F) {
	described := schema(f)
	for _, n := range messagetest.Messages() {
		if p := messagetest.Encode(f, protobuf.Format{}, n.Message); len(p) < 10_000 {
			f.Add(p)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		both(t, described, messagetest.FromBytes(data))
		m := &message.Message{}
		if err := (protobuf.Format{}).Parse(data, m); err != nil {
			return
		}
		o := object{dynamicpb.NewMessage(described)}
		if err := proto.Unmarshal(data, o.Interface()); err != nil {
			t.Fatalf("we take %x, the library says %v", data, err)
		}
		if got := fromObject(t, o); !got.Equal(m) {
			t.Fatalf("%x: we read %v, the library %v: %s", data, m, got, messagetest.Difference(m, got))
		}
	})
}
