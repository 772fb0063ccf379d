package destination

import (
	"fmt"
	"maps"
)

// row is a row as an execution input shows it with value.int64.format=string.
type row map[string]any

func (r row) with(column string, value any) row {
	out := maps.Clone(r)
	out[column] = value
	return out
}

func cliente(id string) row {
	return row{
		"id": id, "nome": "José da Silva", "cpf_cnpj": "529.982.247-25", "email": "jose@exemplo.com.br", "telefone": nil, "sexo": "M", "tipo_pessoa": 1,
		"data_nascimento": "1984-02-29", "renda_mensal": "7543.2100", "limite_pequeno": nil, "pontuacao": 720, "dependentes": 2, "score": 0.8125, "peso_risco": 0.1,
		"ativo": true, "aceita_marketing": false, "observacoes": "prefere a tarde", "perfil_xml": "<perfil/>", "horario_contato": "14:30:00.000",
		"ultimo_acesso": "2025-03-14T01:11:50.123", "criado_em": "2019-07-09T02:28:57.123456700", "nasc_exato": nil, "atualizado_em": "2025-03-14T10:07:21.537-03:00",
		"guid_externo": "6F9619FF-8B86-D011-B42D-00C04FC964FF", "versao": "AAAAAAAAB9E=",
	}
}

func pedido(id, clienteID, valor string) row {
	return row{
		"id": id, "numero": "20250314000501", "cliente_id": clienteID, "produto_id": "0E984725-C51C-4BF4-9960-E1C80E27ABA0", "status": "APROVADO", "valor": valor,
		"valor_entrada": "8500.50", "desconto": "-12.3456", "taxa_mensal": "0.012345", "parcelas": 84, "data_pedido": "2025-03-14T10:07:21.537",
		"data_aprovacao": "2025-03-14T15:00:00.123450", "data_contemplacao": "2026-12-31", "vencimento": "2025-04-10T12:00:00.000",
		"cancelado_em": nil, "observacao": "Lance embutido de 30%", "versao": "AAAAAAAAD6E=",
	}
}

func produto(id string) row {
	return row{
		"id": id, "codigo": "IMV-200", "nome": "Carta de Crédito Imóvel", "categoria": "Imóvel", "taxa_administracao": "0.155000", "fundo_reserva": "2.50",
		"valor_bem": "200000.0000000000", "prazo_meses": 180, "grupo": "4711", "disponivel": true, "foto": "iVBORw0KGgoA", "hash_foto": nil, "miniatura": "/w==",
		"descricao": "Plano de 180 meses", "termos": nil, "abre_as": "08:30:00.123456700", "fecha_as": "17:59:59.999900", "intervalo": "12:00:00.250",
		"vigencia_inicio": "2025-01-01T00:00:00.000", "vigencia_fim": nil, "revisado_em": "2025-02-28T23:59:59.999999", "atributos": "<a/>",
		"hierarquia": "WsA=", "area": nil, "versao": "AAAAAP////8=",
	}
}

// change is a change of an execution input.
type change map[string]any

// at gives a change its position: the number of the transaction, and the offset in the topic.
type at struct{ transaction, offset int }

func lsn(transaction int) string { return fmt.Sprintf("0000002a:%08x:0003", transaction) }

func changeOf(table, operation string, key any, after row, p at, unavailable ...string) change {
	c := change{
		"operation": operation, "database": "ConsorcioDB", "schema": "dbo", "table": table, "key": map[string]any{"id": key}, "after": nil,
		"position":     map[string]any{"epoch": 0, "commit_lsn": lsn(p.transaction), "change_lsn": lsn(p.transaction), "event_serial_no": 1},
		"committed_at": "2026-11-24T03:45:12.123Z", "snapshot": operation == "snapshot",
		"kafka": map[string]any{"topic": table + "-alteracoes", "partition": 3, "offset": p.offset},
	}
	if operation == "delete" {
		return c
	}
	carried := maps.Clone(after)
	for _, column := range unavailable {
		delete(carried, column)
	}
	c["after"] = carried
	if len(unavailable) > 0 {
		c["unavailable"] = unavailable
	}
	return c
}

func insert(table string, r row, p at) change { return changeOf(table, "insert", r["id"], r, p) }

func update(table string, r row, p at, unavailable ...string) change {
	return changeOf(table, "update", r["id"], r, p, unavailable...)
}

func remove(table string, id any, p at) change { return changeOf(table, "delete", id, nil, p) }

func snapshot(table string, r row, p at) change { return changeOf(table, "snapshot", r["id"], r, p) }
